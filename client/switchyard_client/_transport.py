"""The exchanges with the server: one agent (A8), everything since (S1), the stream, usage.

`Transport` is the seam: a test or another network library brings its own object with these
methods and patches nothing.
"""

import http.cookiejar
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

import requests
import urllib3

from ._errors import (
    Forbidden,
    InvalidAnswer,
    NotFound,
    Refused,
    Throttled,
    TransportError,
    Unauthorized,
    Unreachable,
)
from ._headers import retry_after
from ._http import BearerAuth, TrackedAdapter, read_body
from ._messages import SyncAnswer, parse_json, parse_rejections, parse_sync
from ._models import AgentConfig
from ._sockets import Flag
from ._stream import Dialing, Stream, Verify
from ._timings import Timings
from ._wire import Malformed, decode_config, require_object, text

USER_AGENT = "switchyard-client/0.1.0"

Parsed = TypeVar("Parsed")


class Transport(Protocol):
    """How the client reaches its server. Every method raises TransportError on failure."""

    def fetch_agent(self, agent_id: str) -> tuple[AgentConfig, str]:
        """The resolved config of one agent, and the epoch it belongs to."""

    def sync(self, epoch: str | None, since: int | None, etag: str | None) -> SyncAnswer | None:
        """What changed since a rev; None where the ETag still holds."""

    def open_stream(self) -> Stream:
        """Connect to the change stream."""

    def fetch_part(self, agent_id: str, part: str) -> Mapping[str, Any]:
        """The JSON of `GET /api/agents/{agent_id}`, with `part` "config" or "tasks" below it."""

    def send_usage(self, events: Sequence[dict[str, Any]]) -> Sequence[str]:
        """Report usage events; what the server rejects for good, in words.

        Raises Refused where it takes none of them as they are.
        """

    def interrupt(self) -> None:
        """End what other threads are waiting for. May be called from any thread."""

    def close(self) -> None: ...

    def abandon(self) -> None:
        """In a forked child: let go of every connection without a byte on it."""


class HttpTransport:
    """The `Transport` of a real server: requests and websocket-client."""

    def __init__(
        self, url: str, token: str | None, *, verify: Verify = True, timings: Timings
    ) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._timings = timings
        self._verify = verify
        self._interrupted = Flag()
        self._adapter = TrackedAdapter(self._interrupted)
        self._session = self._new_session()
        self._dialing: Dialing | None = None

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        session.mount("http://", self._adapter)
        session.mount("https://", self._adapter)
        session.headers.update({"User-Agent": USER_AGENT, "Accept": "application/json"})
        if self._token:
            session.auth = BearerAuth(self._token)
        session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        return session

    def fetch_agent(self, agent_id: str) -> tuple[AgentConfig, str]:
        path = f"/api/agents/{quote(agent_id, safe='')}/llm"
        _, body = self._exchange("GET", path, self._timings.request)

        def parse(data: Any) -> tuple[AgentConfig, str]:
            return decode_config(data, requested=agent_id), text(data, "epoch")

        return self._parsed(path, body, parse)

    def sync(self, epoch: str | None, since: int | None, etag: str | None) -> SyncAnswer | None:
        known = epoch is not None and since is not None
        params = {"epoch": str(epoch), "since": str(since)} if known else {}
        headers = {"If-None-Match": etag} if known and etag else {}
        # The whole configuration may be in it: more patience than for a single agent.
        patience = 3 * self._timings.request
        path = "/api/sync"
        response, body = self._exchange("GET", path, patience, params=params, headers=headers)
        if response.status_code == 304:
            return None
        fresh = response.headers.get("ETag")
        return self._parsed(path, body, lambda data: parse_sync(data, fresh))

    def fetch_part(self, agent_id: str, part: str) -> Mapping[str, Any]:
        path = f"/api/agents/{quote(agent_id, safe='')}"
        if part:
            path += f"/{part}"
        # The largest page there is: nobody gives an agent more tasks.
        params = {"page_size": "200"} if part == "tasks" else {}
        _, body = self._exchange("GET", path, self._timings.request, params=params)
        return self._parsed(path, body, lambda data: require_object(data, "answer"))

    def send_usage(self, events: Sequence[dict[str, Any]]) -> Sequence[str]:
        path = "/api/usage"
        content = {"events": list(events)}
        _, body = self._exchange("POST", path, self._timings.request, json=content)
        return self._parsed(path, body, parse_rejections)

    def open_stream(self) -> Stream:
        dialing = Dialing(self._url, self._token, self._verify, self._timings.connect)
        self._dialing = dialing
        try:
            if self._interrupted.raised:
                raise Unreachable("interrupted")
            return dialing.run()
        finally:
            self._dialing = None

    def interrupt(self) -> None:
        self._interrupted.raised = True
        self._adapter.interrupt()
        dialing = self._dialing
        if dialing is not None:
            dialing.interrupt()

    def close(self) -> None:
        self._session.close()

    def abandon(self) -> None:
        self._interrupted.raised = True
        self._adapter.abandon()
        if self._dialing is not None:
            self._dialing.abandon()

    def _exchange(
        self, method: str, path: str, patience: float, **content: Any
    ) -> tuple[requests.Response, bytes]:
        if self._interrupted.raised:
            raise Unreachable("interrupted")
        deadline = time.monotonic() + patience
        try:
            with self._session.request(
                method,
                self._url + path,
                **content,
                verify=self._verify,  # as the session's own, REQUESTS_CA_BUNDLE would override it
                timeout=(self._timings.connect, patience),
                allow_redirects=False,
                stream=True,
            ) as response:
                if response.status_code in (200, 304):
                    return response, read_body(response, deadline)
                raise _refusal(self._url, path, response)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise Unreachable(f"{self._url}{path}: {_at_the_bottom(error)}") from None

    def _parsed(self, path: str, body: bytes, parse: Callable[[Any], Parsed]) -> Parsed:
        try:
            return parse(parse_json(body))
        except Malformed as error:
            raise InvalidAnswer(f"{self._url}{path}: {error}") from None


def _at_the_bottom(error: BaseException) -> str:
    """What the system said. The texts of requests would quote header values: the token is one."""
    for _ in range(8):  # what an error is about stands in its reason, its arguments or its cause
        sources = (getattr(error, "reason", None), *error.args, error.__cause__)
        inner = next((source for source in sources if isinstance(source, BaseException)), None)
        if inner is None:
            break
        error = inner
    return getattr(error, "strerror", None) or type(error).__name__


def _refusal(base: str, path: str, response: requests.Response) -> TransportError:
    status = response.status_code
    message = f"{base}{path}: {status}"
    if response.is_redirect:
        there = response.headers["Location"].partition("?")[0][:200]
        moved = f" (use {there.removesuffix(path)} as url)" if there.endswith(path) else ""
        message += f", a redirect to {there}{moved}"
    if status == 401 and "Authorization" not in response.request.headers:
        message += ", there is none: set SWITCHYARD_TOKEN"
    if request_id := response.headers.get("X-Request-ID"):
        message += f" (request {request_id[:64]})"
    if status in (429, 503):
        return Throttled(message, retry_after(response.headers.get("Retry-After")))
    if status in (401, 403):
        return (Unauthorized if status == 401 else Forbidden)(message)
    if status == 404:
        return NotFound(message)
    if status in (400, 413, 422):
        return Refused(message)
    if status >= 500:
        return Unreachable(message)
    return InvalidAnswer(message)
