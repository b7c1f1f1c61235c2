"""The one outbound session: every request that Switchyard sends to an address an admin typed in.

A host is resolved once and the connection goes to an address that the policy has seen, so a name
cannot move between the look and the leap. One deadline holds for everything: resolving, connecting,
TLS, headers and body. Nothing is followed, cached, kept or taken from the environment.
"""

import ipaddress
import json
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Self, TypeVar

import certifi
import requests
from flask import Flask, current_app
from requests.adapters import HTTPAdapter
from requests_hardened import Config, HTTPSession
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.util.ssl_ import create_urllib3_context

from app.core.addresses import AddressPolicy, IPAddress, check_url_syntax

__all__ = ["BODY_LIMIT", "Answer", "Outbound", "check_url_syntax", "init_app", "outbound", "parsed"]

BODY_LIMIT = 64 * 1024
USER_AGENT = "Switchyard"

Resolver = Callable[[str, int], list[IPAddress]]
T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """What came back. ``error`` is a reason for people and never holds a header or a key."""

    status: int | None = None
    body: bytes = b""
    json: Any = None
    error: str | None = None
    is_cut: bool = False
    """The body went on: ``body`` is its first BODY_LIMIT bytes."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class _Failed(Exception):
    """No usable answer; the message is the reason."""


def init_app(app: Flask) -> None:
    """Give the app its outbound session. Raises SettingsError on a malformed OUTBOUND_ALLOW."""
    app.extensions["outbound"] = Outbound.from_config(app.config)


def outbound() -> "Outbound":
    """The app's outbound session."""
    session: Outbound = current_app.extensions["outbound"]
    return session


def resolve(host: str, port: int) -> list[IPAddress]:
    """The addresses of a host, in the system's order of preference."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    plain = (str(info[4][0]).partition("%")[0] for info in found)
    return list(dict.fromkeys(ipaddress.ip_address(address) for address in plain))


class Outbound:
    """Sends requests under an address policy and a deadline. Threads may share it.

    Every request has a session of its own, so that no cookie or connection of one endpoint is
    ever used for another.
    """

    def __init__(
        self, allow: Iterable[str] = (), deadline: float = 10, resolve: Resolver = resolve
    ) -> None:
        self._policy = AddressPolicy(allow)
        self.deadline = deadline
        self._resolve = resolve

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Outbound":
        """As OUTBOUND_ALLOW and OUTBOUND_DEADLINE say. Raises SettingsError."""
        return cls(config["OUTBOUND_ALLOW"], config["OUTBOUND_DEADLINE"])

    def within(self, seconds: float) -> "Outbound":
        """The same session under another deadline."""
        other = copy(self)
        other.deadline = seconds
        return other

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """GET, whatever the status and the body. Never raises for the other side's fault."""
        return self._ask("GET", url, headers or {})

    def get_json(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """GET a JSON document; a body that is none is an error, beside the status."""
        return parsed(self.get(url, headers))

    def post(self, url: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """POST these bytes; the answer as of ``get``. ``headers`` name their content type."""
        return self._ask("POST", url, headers or {}, body)

    def post_json(
        self, url: str, document: Any, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """POST a JSON document; the answer as of ``get_json``."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        return parsed(self.post(url, json.dumps(document).encode(), sent))

    def _ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Answer:
        if problem := check_url_syntax(url, query=True):
            return Answer(error=f"The URL will not do. {problem}")
        exchange = _Exchange(self._policy, self._resolve, self.deadline)
        try:
            with exchange:
                request = requests.Request(method, url, {**_FIXED_HEADERS, **headers}, data=body)
                return _send(exchange, request)
        except _Failed as failure:
            return Answer(error=str(failure))
        except (requests.RequestException, HTTPError, OSError, UnicodeError) as error:
            return Answer(error=_reason(error, exchange))


class _Exchange:
    """One request's connection: opened to a vetted address, cut off at the deadline."""

    def __init__(self, policy: AddressPolicy, resolve: Resolver, seconds: float) -> None:
        self._policy = policy
        self._resolve = resolve
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._is_cut = False
        self._line: socket.socket | None = None
        self._watchdog: threading.Timer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        if self._line is not None:
            self._line.close()

    @property
    def expired(self) -> bool:
        """Whether the time is up."""
        return self._is_cut or time.monotonic() >= self._end

    @property
    def too_late(self) -> str:
        """The reason to give then."""
        return f"No complete answer within {self.seconds:g} s."

    def connect(self, host: str, port: int) -> socket.socket:
        """Resolve, vet, connect. Raises _Failed."""
        addresses = self._look_up(host, port)
        vetted = [each for each in addresses if self._policy.allows(host, each, port)]
        if not vetted:
            raise _Failed(
                f"The address of {host} is not allowed: it is private or reserved. "
                f'To allow it, add "{_spelled(host)}:{port}" to OUTBOUND_ALLOW.'
            )
        connection = self._open(host, vetted, port)
        # A second descriptor: TLS takes the first one over, a shutdown of either ends both.
        self._line = connection.dup()
        self._watchdog = threading.Timer(self._left(), self._cut)
        self._watchdog.daemon = True
        self._watchdog.start()
        return connection

    def _look_up(self, host: str, port: int) -> list[IPAddress]:
        try:
            return _in_time(lambda: self._resolve(host, port), self._left())
        except (OSError, UnicodeError):
            raise _Failed(f"The name {host} does not resolve.") from None
        except queue.Empty:
            raise _Failed(f"{self.too_late} (resolving {host})") from None

    def _open(self, host: str, addresses: list[IPAddress], port: int) -> socket.socket:
        reason = ""
        for address in addresses:
            try:
                return socket.create_connection((str(address), port), self._left())
            except TimeoutError:
                raise _Failed(self.too_late) from None
            except ConnectionRefusedError:
                reason = "it refused the connection: nothing listens there"
            except OSError as error:
                reason = error.strerror or type(error).__name__
        raise _Failed(f"{_spelled(host)}:{port} cannot be reached: {reason}.")

    def _left(self) -> float:
        return max(self._end - time.monotonic(), 0.001)

    def _cut(self) -> None:
        self._is_cut = True
        if self._line is not None:
            # A time-out per read would let an endpoint drip for ever. Where the answer came in the
            # same instant, the line is closed and there is nothing left to cut.
            with suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)


class _Adapter(HTTPAdapter):
    """Plain requests, but that its connections are opened by an exchange."""

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=_tls_context(), **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pool_classes(self._exchange)

    def cert_verify(self, conn: Any, *_: Any) -> None:
        """Leave the CA bundle to the shared context, which has read it already."""
        conn.cert_reqs = "CERT_REQUIRED"


def _pool_classes(exchange: _Exchange) -> dict[str, type[HTTPConnectionPool]]:
    """Connection classes whose socket, and nothing else, is the exchange's: the host stays the
    name, so the Host header and the certificate are checked against what was asked for."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return exchange.connect(self.host, self.port or 80)

    class Tls(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return exchange.connect(self.host, self.port or 443)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    return {"http": PlainPool, "https": TlsPool}


@cache
def _tls_context() -> ssl.SSLContext:
    """Shared, because reading the CA bundle takes longer than a request."""
    context = create_urllib3_context()
    context.load_verify_locations(certifi.where())
    return context


def _send(exchange: _Exchange, request: requests.Request) -> Answer:
    with _session(exchange) as session:
        response = session.send(
            session.prepare_request(request), stream=True, timeout=exchange.seconds
        )
        with response:
            status = response.status_code
            if 300 <= status < 400:
                return Answer(
                    status,
                    error=f"It redirects (HTTP {status}), and redirects are not followed: "
                    "enter the final URL.",
                )
            body = response.raw.read(BODY_LIMIT + 1, decode_content=False)
    if exchange.expired:
        raise _Failed(exchange.too_late)
    answer = Answer(status, body[:BODY_LIMIT], headers=response.headers)
    if len(body) <= BODY_LIMIT:
        return answer
    too_big = f"The answer is larger than {BODY_LIMIT // 1024} KiB."
    return replace(answer, error=too_big, is_cut=True)


def parsed(answer: Answer) -> Answer:
    """The answer as JSON; a body that is none is an error, beside the status."""
    if answer.error:
        return answer
    try:
        return replace(answer, json=json.loads(answer.body))
    except (ValueError, RecursionError):
        return replace(answer, error="The answer is not JSON.")


# Identity: the limit on the body is one on what is unpacked as well.
_FIXED_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}


def _session(exchange: _Exchange) -> HTTPSession:
    session = HTTPSession(
        Config(
            ip_filter_enable=False,  # its filter knows no host:port list; addresses.py asks it
            ip_filter_allow_loopback_ips=False,
            never_redirect=True,
            default_timeout=(exchange.seconds, exchange.seconds),
            user_agent_override=USER_AGENT,
        )
    )
    session.trust_env = False  # no proxy, and no netrc that would replace our Authorization
    session.mount("http://", _Adapter(exchange))
    session.mount("https://", _Adapter(exchange))
    return session


def _reason(error: Exception, exchange: _Exchange) -> str:
    """Why it failed. The error's own text is left out: an invalid header's shows the key."""
    if exchange.expired or isinstance(error, requests.Timeout):
        return exchange.too_late
    # One of the answer's own is no fault of the key: requests names the request it came to.
    ours = isinstance(error, requests.exceptions.InvalidHeader) and error.request is None
    if ours or isinstance(error, UnicodeError):
        return "The key holds characters that cannot be sent in a header."
    if isinstance(error, requests.exceptions.SSLError):
        return _tls_reason(error)
    if isinstance(error, requests.exceptions.InvalidURL):
        return "The URL will not do: its host is malformed."
    return "The connection broke off before the answer was complete, or it does not speak HTTP."


def _tls_reason(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:  # requests wraps urllib3 wraps ssl
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"TLS failed: its certificate is not accepted ({cause.verify_message})."
        cause = cause.__context__
    return "TLS failed: it does not speak HTTPS there, or no version that is accepted."


def _spelled(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _in_time(function: Callable[[], T], seconds: float) -> T:
    """The function's outcome; queue.Empty if it takes longer. Resolving knows no time-out, so it
    goes on in its thread until the system's resolver gives up."""
    outcome: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put((function(), None))
        except (OSError, UnicodeError) as error:  # what a resolver raises
            outcome.put((None, error))

    threading.Thread(target=run, name="resolve", daemon=True).start()
    value, error = outcome.get(timeout=seconds)
    if error is not None:
        raise error
    return value  # type: ignore[return-value]
