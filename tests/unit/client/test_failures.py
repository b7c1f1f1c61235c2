"""Whose fault an exception is, by the SDKs' own class hierarchies and bodies."""

import asyncio
import concurrent.futures
import errno
import json
import socket
import ssl
import urllib.error
from typing import Any

import pytest
import requests
from switchyard_client._errors import Unreachable
from switchyard_client._failures import Reason, classify, status_of


def sdk(module: str, *names: str, base: type[Exception] = Exception) -> type[Exception]:
    """A class as an SDK declares it: `names` from the base down, all of one module."""
    for name in names:
        base = type(name, (base,), {"__module__": module})
    return base


def raised(kind: type[Exception], text: str = "", **attributes: Any) -> Exception:
    error = kind(text)
    for name, value in attributes.items():
        setattr(error, name, value)
    return error


def openai(name: str, status: int, **attributes: Any) -> Exception:
    kind = sdk("openai", "OpenAIError", "APIError", "APIStatusError", name)
    return raised(kind, status_code=status, **attributes)


def anthropic(name: str, status: int, text: str = "", **attributes: Any) -> Exception:
    kind = sdk("anthropic", "AnthropicError", "APIError", "APIStatusError", name)
    return raised(kind, text, status_code=status, **attributes)


def httpx(*names: str) -> Exception:
    return raised(sdk("httpx", "HTTPError", "RequestError", "TransportError", *names))


def answered(status: int, **headers: str) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    response.headers.update(headers)
    return requests.HTTPError(response=response)


def reason(error: BaseException) -> Reason | None:
    failure = classify(error)
    return failure and failure.reason


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, None),
        (401, "unauthorized"),
        (402, "quota"),
        (403, "unauthorized"),
        (404, "not_found"),
        (408, "timeout"),
        (409, None),
        (413, None),
        (422, None),
        (429, "rate_limited"),
        (500, "server_error"),
        (503, "server_error"),
        (504, "timeout"),
        (529, "server_error"),
    ],
)
def test_a_status_decides(status: int, expected: str | None) -> None:
    errors = [
        openai("AnyError", status),
        anthropic("AnyError", status),
        answered(status),
        raised(sdk("httpx", "HTTPError", "HTTPStatusError"), response=answered(status).response),
        raised(sdk("aiohttp.client_exceptions", "ClientResponseError"), status=status),
        raised(sdk("google.genai.errors", "APIError"), code=status),
    ]
    assert {reason(error) for error in errors} == {expected}
    assert {status_of(error) for error in errors} == {status}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (raised(sdk("openai", "APIError", "APIConnectionError")), "connection"),
        (raised(sdk("openai", "APIError", "APIConnectionError", "APITimeoutError")), "timeout"),
        (raised(sdk("anthropic", "APIError", "APIConnectionError")), "connection"),
        (openai("APIResponseValidationError", 200), "unparsable"),
        (httpx("NetworkError", "ConnectError"), "connection"),
        (httpx("NetworkError", "ReadError"), "connection"),
        (httpx("ProtocolError", "RemoteProtocolError"), "connection"),
        (httpx("TimeoutException", "ReadTimeout"), "timeout"),
        (raised(sdk("httpx2", "TransportError", "TimeoutException", "PoolTimeout")), "timeout"),
        (raised(sdk("httpx", "RequestError", "DecodingError")), "unparsable"),
        (requests.ConnectionError(), "connection"),
        (requests.ConnectTimeout(), "timeout"),
        (requests.ReadTimeout(), "timeout"),
        (requests.exceptions.SSLError(), "tls"),
        (requests.exceptions.ChunkedEncodingError(), "connection"),
        (requests.exceptions.InvalidURL(), "connection"),
        (requests.JSONDecodeError("no", "", 0), "unparsable"),
        (json.JSONDecodeError("no", "", 0), "unparsable"),
        (ConnectionResetError(), "connection"),
        (OSError(errno.EHOSTUNREACH, "no route"), "connection"),
        (socket.gaierror(), "connection"),
        (ssl.SSLCertVerificationError(), "tls"),
        (TimeoutError(), "timeout"),
        (urllib.error.URLError("refused"), "connection"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_without_a_status_the_class_decides(error: Exception, expected: str) -> None:
    assert reason(error) == expected


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        SystemExit(),
        GeneratorExit(),
        asyncio.CancelledError(),
        concurrent.futures.CancelledError(),
        ValueError("mine"),
        KeyError("mine"),
        FileNotFoundError(errno.ENOENT, "mine"),
        raised(sdk("redis.exceptions", "ConnectionError")),
        raised(sdk("mine", "Broken"), code=500),
        raised(sdk("starlette.exceptions", "HTTPException"), status_code=503),
        Unreachable("Switchyard's own server, asked for a prompt in between"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_not_the_steps_fault(error: BaseException) -> None:
    assert classify(error) is None


def test_certificates_are_named_under_a_plain_connection_error() -> None:
    error = raised(sdk("openai", "APIError", "APIConnectionError"))
    error.__cause__ = httpx("NetworkError", "ConnectError")
    error.__cause__.__context__ = ssl.SSLCertVerificationError()
    assert reason(error) == "tls"


def test_a_circular_chain_of_causes_ends() -> None:
    error = raised(sdk("openai", "APIError", "APIConnectionError"))
    error.__cause__ = other = ValueError()
    other.__cause__ = error
    assert reason(error) == "connection"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (openai("RateLimitError", 429, code="insufficient_quota"), "quota"),
        (openai("PermissionDeniedError", 403, type="billing_error"), "quota"),
        (openai("BadRequestError", 400, code="model_not_found"), "not_found"),
        (openai("BadRequestError", 400, code="invalid_api_key"), "unauthorized"),
        (openai("BadRequestError", 400, body={"error": {"code": "model_not_found"}}), "not_found"),
        (anthropic("BadRequestError", 400, "Your credit balance is too low to"), "quota"),
        (openai("BadRequestError", 400, code="context_length_exceeded"), None),
        (openai("BadRequestError", 400, type="server_error"), None),
    ],
)
def test_the_body_says_more_than_the_status(error: Exception, expected: str | None) -> None:
    assert reason(error) == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("overloaded_error", "server_error"),
        ("rate_limit_error", "rate_limited"),
        ("insufficient_quota", "quota"),
        ("something_new", "server_error"),
        ("invalid_request_error", None),
    ],
)
def test_an_error_event_inside_a_stream(kind: str, expected: str | None) -> None:
    body = {"type": "error", "error": {"type": kind, "message": "x"}}
    assert reason(anthropic("APIStatusError", 200, body=body)) == expected
    assert reason(raised(sdk("openai", "OpenAIError", "APIError"), type=kind)) == expected


def test_how_long_the_provider_wants_to_be_left_alone() -> None:
    failure = classify(answered(429, **{"Retry-After": "120"}))
    assert failure is not None
    assert (failure.status, failure.retry_after) == (429, 120)
    plain = classify(answered(429, **{"Retry-After": "soon"}))
    assert plain is not None
    assert plain.retry_after is None


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["ModelAPIError"], Reason.UNPARSABLE),
        (["ModelAPIError", "ModelConnectionError"], Reason.CONNECTION),
        (["ModelAPIError", "ModelConnectionError", "ModelTimeoutError"], Reason.TIMEOUT),
        (["ModelAPIError", "ModelUnavailableError", "ModelOverloadedError"], Reason.SERVER_ERROR),
        (["ModelAPIError", "ModelRequestRejectedError"], None),
        (["ModelAPIError", "ModelRequestRejectedError", "ModelContextWindowExceededError"], None),
        (["ModelAPIError", "ModelRequestRejectedError", "ModelNotFoundError"], Reason.NOT_FOUND),
        (["UnexpectedModelBehavior"], None),
    ],
)
def test_what_pydantic_ai_wraps(names: list[str], expected: Reason | None) -> None:
    assert reason(raised(sdk("pydantic_ai.exceptions", "AgentRunError", *names))) == expected
