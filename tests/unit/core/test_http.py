"""The outbound session against a provider on the loopback that misbehaves in every way."""

import ipaddress
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.http import BODY_LIMIT, Outbound
from tests.support.certificates import speak_tls
from tests.support.loopback_provider import LoopbackProvider

KEY = "sk-canary-4f1d"
PUBLIC = [ipaddress.ip_address("1.1.1.1")]
LOOPBACK = [ipaddress.ip_address("127.0.0.1")]


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider() as provider:
        yield provider


@pytest.fixture
def outbound(provider: LoopbackProvider) -> Outbound:
    return Outbound([provider.address], deadline=5)


def test_a_listed_address_answers(provider: LoopbackProvider, outbound: Outbound) -> None:
    answer = outbound.get_json(provider.openai_url + "/models", {"Authorization": f"Bearer {KEY}"})

    assert answer.status == 200
    assert answer.error is None
    assert [row["id"] for row in answer.json["data"]] == provider.models
    seen = provider.requests[0].headers
    assert seen["authorization"] == f"Bearer {KEY}"
    assert seen["host"] == provider.address
    assert seen["user-agent"] == "Switchyard"


def test_a_body_is_posted_as_it_is(provider: LoopbackProvider, outbound: Outbound) -> None:
    provider.answer_status(204)
    answer = outbound.post(
        provider.openai_url, b'{"a":  1}', {"Content-Type": "application/json", "x-own": "1"}
    )

    assert (answer.status, answer.error) == (204, None)
    (seen,) = provider.requests
    assert (seen.method, seen.body) == ("POST", b'{"a":  1}')
    assert (seen.headers["content-type"], seen.headers["x-own"]) == ("application/json", "1")


class Listener:
    """Counts connections on the loopback, IPv4 and IPv6, and answers none."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]

    @property
    def count(self) -> int:
        """A connection that was opened is in the backlog by now: the kernel took it."""
        taken = 0
        while True:
            try:
                self._socket.accept()[0].close()
            except BlockingIOError:
                return taken
            taken += 1

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def touched() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


VARIANTS = [
    "http://127.0.0.1:{port}/", "http://localhost:{port}/", "http://LOCALHOST:{port}/",
    "http://localhost.:{port}/", "http://127.1:{port}/", "http://127.0.1:{port}/",
    "http://0x7f.1:{port}/", "http://0x7f000001:{port}/", "http://2130706433:{port}/",
    "http://017700000001:{port}/", "http://0177.0.0.1:{port}/", "http://0:{port}/",
    "http://0.0.0.0:{port}/", "http://127.0.0.2:{port}/", "http://127.255.255.254:{port}/",
    "http://[::1]:{port}/", "http://[::]:{port}/", "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/", "http://[0:0:0:0:0:ffff:127.0.0.1]:{port}/",
    "http://[::127.0.0.1]:{port}/", "http://[64:ff9b::127.0.0.1]:{port}/",
    "http://[2002:7f00:1::]:{port}/", "http://[fe80::1]:{port}/", "http://[fe80::1%25lo]:{port}/",
    "http://[fc00::1]:{port}/", "http://①②⑦.⓪.⓪.①:{port}/", "http://127。0。0。1:{port}/",
    "http://\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54:{port}/", "http://127.0.0.1%00.example:{port}/",
    "http://user@127.0.0.1:{port}/", "http://api.openai.com@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@api.openai.com/", "http://127.0.0.1:{port}#@api.openai.com/",
    "http:127.0.0.1:{port}/", "http:///127.0.0.1:{port}/", "HTTP://127.0.0.1:{port}/",
    "ftp://127.0.0.1:{port}/", "file://127.0.0.1:{port}/", "https://127.0.0.1:{port}/",
    "https://[::1]:{port}/", "http://127.0.0.1:{port}/\r\nHost: x", "//127.0.0.1:{port}/",
    "unix://127.0.0.1:{port}/", "http://10.0.0.1:{port}/", "http://169.254.169.254/latest/",
    "http://[fd00:ec2::254]/latest/", "http://100.100.100.200/", "http://192.168.0.1:{port}/",
    "http://168.63.129.16/", "http://127.0.0.1.:{port}/", "http://0x7f.0.0.0x1:{port}/",
    "http://0177.0.0.01:{port}/", "http://127.0.0.1:0{port}/", "http://[::ffff:0:127.0.0.1]:{port}/",
    "http://[64:ff9b:1::7f00:1]:{port}/", "http://[::1%25lo]:{port}/", "http://[::1%lo]:{port}/",
    "http://[0000::0001]:{port}/", "http://127.0.0.1:{port};@api.openai.com/",
    "http://%31%32%37.0.0.1:{port}/", "http://\u0661\u0662\u0667.\u0660.\u0660.\u0661:{port}/", "http://localhost%2e:{port}/",
    "http://api.openai.com:80@127.0.0.1:{port}/", "http://127.0.0.1:{port}?@api.openai.com/",
    "http://\t127.0.0.1:{port}/", "http://127.0.0.1:{port}\u3002/", "http://127.0.0.1\u200b:{port}/",
    "ws://127.0.0.1:{port}/", "javascript:127.0.0.1:{port}", "gopher://127.0.0.1:{port}/",
]  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_private_address_is_not_touched_however_it_is_spelled(
    variant: str, touched: Listener
) -> None:
    url = variant.format(port=touched.port)

    answer = Outbound(["127.0.0.1:1"], deadline=2).get(url)

    assert answer.error, url
    assert touched.count == 0, url


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"]
)
def test_a_name_that_points_inside_is_not_followed_there(address: str, touched: Listener) -> None:
    answers = iter([[ipaddress.ip_address(address)], PUBLIC])
    outbound = Outbound(["127.0.0.1:1"], deadline=2, resolve=lambda *_: next(answers))

    answer = outbound.post_json(f"http://models.example:{touched.port}/", {})

    assert answer.error is not None
    assert "is not allowed" in answer.error
    assert touched.count == 0


def test_the_listener_does_count(touched: Listener) -> None:
    Outbound([f"127.0.0.1:{touched.port}"], deadline=0.3).get(f"http://127.0.0.1:{touched.port}/")

    assert touched.count == 1


def test_the_refusal_says_what_to_allow(provider: LoopbackProvider) -> None:
    answer = Outbound(deadline=2).get(provider.ollama_url)

    assert answer.status is None
    assert answer.error is not None
    assert f'add "{provider.address}" to OUTBOUND_ALLOW' in answer.error
    assert provider.requests == []


def test_a_listed_name_is_allowed_wherever_it_points(provider: LoopbackProvider) -> None:
    outbound = Outbound([f"Models.Internal:{provider.port}"], resolve=lambda *_: LOOPBACK)

    assert outbound.get(f"http://models.internal:{provider.port}/v1/models").status == 200
    assert provider.requests[0].headers["host"] == f"models.internal:{provider.port}"


def test_a_name_is_resolved_once_and_pinned(provider: LoopbackProvider) -> None:
    answers = iter([LOOPBACK, PUBLIC])
    outbound = Outbound([provider.address], deadline=2, resolve=lambda *_: next(answers))

    assert outbound.get(f"http://moving.example:{provider.port}/v1/models").status == 200
    assert next(answers) == PUBLIC


def test_of_several_addresses_the_allowed_one_is_taken(provider: LoopbackProvider) -> None:
    both = [ipaddress.ip_address("::1"), *LOOPBACK]
    outbound = Outbound([provider.address], deadline=2, resolve=lambda *_: both)

    assert outbound.get(f"http://localhost:{provider.port}/v1/models").status == 200


def test_a_name_that_does_not_resolve() -> None:
    def nowhere(host: str, port: int) -> list[ipaddress.IPv4Address]:
        raise socket.gaierror(-2, "Name or service not known")

    answer = Outbound(resolve=nowhere).get("http://nowhere.example/")

    assert answer.error == "The name nowhere.example does not resolve."


def test_a_name_server_that_hangs_is_cut_off() -> None:
    released = threading.Event()

    def hang(host: str, port: int) -> list[ipaddress.IPv4Address]:
        released.wait(60)
        return []

    began = time.monotonic()
    answer = Outbound(deadline=0.2, resolve=hang).get("http://slow.example/")
    released.set()

    assert answer.error is not None
    assert "within 0.2 s" in answer.error
    assert time.monotonic() - began < 20


def test_nobody_listens(provider: LoopbackProvider, outbound: Outbound) -> None:
    provider.stop()

    answer = outbound.get(provider.ollama_url)

    assert answer.error is not None
    assert "refused the connection" in answer.error


@pytest.mark.parametrize("headers", [False, True])
def test_a_drip_is_cut_off_at_the_deadline(provider: LoopbackProvider, headers: bool) -> None:
    provider.drip(headers)
    began = time.monotonic()

    answer = Outbound([provider.address], deadline=0.4).get(provider.ollama_url)

    assert answer.error == "No complete answer within 0.4 s."
    assert time.monotonic() - began < 20


def test_silence_is_cut_off_at_the_deadline(provider: LoopbackProvider) -> None:
    provider.hold()

    answer = Outbound([provider.address], deadline=0.3).get(provider.ollama_url)

    assert answer.error == "No complete answer within 0.3 s."


def test_of_a_huge_body_only_the_beginning_is_read(
    provider: LoopbackProvider, outbound: Outbound
) -> None:
    provider.answer_huge()

    answer = outbound.get_json(provider.ollama_url)

    assert answer.error == "The answer is larger than 64 KiB."
    assert answer.is_cut
    assert len(answer.body) == BODY_LIMIT


def test_the_largest_body_is_read(provider: LoopbackProvider, outbound: Outbound) -> None:
    provider.answer_json("x" * (BODY_LIMIT - 2))

    assert outbound.get_json(provider.ollama_url).json == "x" * (BODY_LIMIT - 2)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(
    provider: LoopbackProvider, outbound: Outbound, status: int
) -> None:
    provider.redirect_to(provider.openai_url + "/models", status)

    answer = outbound.get(provider.ollama_url, {"x-api-key": KEY})

    assert answer.status == status
    assert answer.error is not None
    assert "redirects are not followed" in answer.error
    assert len(provider.requests) == 1


def test_a_page_is_not_json(provider: LoopbackProvider, outbound: Outbound) -> None:
    provider.answer_html()

    answer = outbound.get_json(provider.ollama_url)

    assert (answer.status, answer.error) == (200, "The answer is not JSON.")


def test_deep_nesting_is_not_json(provider: LoopbackProvider, outbound: Outbound) -> None:
    provider.answer_with(b"[" * 60_000)

    assert outbound.get_json(provider.ollama_url).error == "The answer is not JSON."


def test_a_connection_closed_without_a_word(provider: LoopbackProvider, outbound: Outbound) -> None:
    provider.hang_up()

    answer = outbound.get(provider.ollama_url)

    assert answer.error is not None
    assert "broke off" in answer.error


def test_the_environment_has_no_say(
    provider: LoopbackProvider,
    outbound: Outbound,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")

    answer = outbound.get(provider.openai_url + "/models", {"Authorization": f"Bearer {KEY}"})

    assert answer.status == 200
    assert provider.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_no_cookie_is_kept(provider: LoopbackProvider, outbound: Outbound) -> None:
    provider.answer_with(b"{}", {"Set-Cookie": "a=b"})
    outbound.get(provider.ollama_url)
    outbound.get(provider.ollama_url)

    assert "cookie" not in provider.requests[1].headers


@pytest.mark.parametrize("key", [KEY + "\r\nX-Injected: 1", KEY + "\n", KEY + "ключ"])
def test_a_key_that_fits_no_header_is_not_shown(
    key: str, provider: LoopbackProvider, outbound: Outbound, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    answer = outbound.get(provider.ollama_url, {"Authorization": f"Bearer {key}"})

    assert answer.error == "The key holds characters that cannot be sent in a header."
    assert provider.requests == []
    assert KEY not in caplog.text


def test_a_header_of_the_answer_is_no_fault_of_the_key(
    provider: LoopbackProvider, outbound: Outbound
) -> None:
    provider.answer_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\n{}")
    assert "broke off" in str(outbound.get(provider.ollama_url).error)


def test_no_failure_and_no_log_shows_the_key(
    provider: LoopbackProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    outbound = Outbound([provider.address], deadline=0.3)
    misbehaviours = [
        provider.hang_up,
        provider.hold,
        provider.drip,
        provider.answer_html,
        provider.answer_huge,
        lambda: provider.redirect_to("http://elsewhere.example/"),
        provider.stop,
    ]
    for misbehave in misbehaviours:
        misbehave()
        answer = outbound.get_json(provider.ollama_url, {"x-api-key": KEY})
        assert answer.error
        assert KEY not in repr(answer)

    assert KEY not in caplog.text


def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    with LoopbackProvider() as provider:
        speak_tls(provider, tmp_path)
        outbound = Outbound([provider.address], deadline=5)

        answer = outbound.get(f"https://127.0.0.1:{provider.port}/", {"x-api-key": KEY})

    assert answer.error is not None
    assert "certificate is not accepted" in answer.error
    assert provider.requests == []


def test_a_trusted_certificate_is_checked_against_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LoopbackProvider() as provider:
        certificate = speak_tls(provider, tmp_path)
        context = ssl.create_default_context(cafile=str(certificate))
        monkeypatch.setattr("app.core.http._tls_context", lambda: context)
        outbound = Outbound([provider.address], deadline=5, resolve=lambda *_: LOOPBACK)

        good = outbound.get_json(f"https://models.example:{provider.port}/v1/models")
        wrong = outbound.get_json(f"https://other.example:{provider.port}/v1/models")

    assert good.status == 200
    assert wrong.error is not None
    assert "certificate is not accepted" in wrong.error
    assert len(provider.requests) == 1


def test_plain_http_where_tls_was_asked_for(provider: LoopbackProvider, outbound: Outbound) -> None:
    answer = outbound.get(f"https://{provider.address}/")

    assert answer.error is not None
    assert "does not speak HTTPS" in answer.error
