"""Whose fault is an exception: the step's, then another step may do better, or the caller's.

Works on the exceptions of openai, anthropic, httpx, requests, aiohttp and what is built on them
without importing any: by the names in the class' MRO, the status code and the error code inside.
"""

import errno
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ._headers import retry_after


class Reason(StrEnum):
    """Why an attempt failed. Values are plain strings."""

    CONNECTION = "connection"
    """Refused, reset, unreachable, or a name that does not resolve."""
    TLS = "tls"
    """The endpoint's certificate is not trusted, or it does not speak TLS."""
    TIMEOUT = "timeout"
    """No answer in time, by our clock or by the provider's (408, 504)."""
    SERVER_ERROR = "server_error"
    """5xx, overloaded ones included."""
    RATE_LIMITED = "rate_limited"
    """429: too much in too short a time."""
    QUOTA = "quota"
    """Out of credit: patience alone does not help."""
    UNAUTHORIZED = "unauthorized"
    """401 or 403: the key is wrong, or may not use this model."""
    NOT_FOUND = "not_found"
    """404: the provider does not know the model, or the endpoint is another thing."""
    UNPARSABLE = "unparsable"
    """An answer that is not what the provider's API says."""


@dataclass(frozen=True, slots=True)
class StepFailure:
    """A failure that another step of the chain may not have."""

    reason: Reason
    status: int | None = None
    """HTTP status, where there was one."""
    retry_after: float | None = None
    """Seconds the provider asked to be left alone."""


# Only these packages' names are believed: a ConnectionError of, say, redis is not the provider's.
FAMILIES = frozenset(
    {"aiohttp", "anthropic", "builtins", "google", "groq", "http", "httpcore", "httpcore2"}
    | {"httpx", "httpx2", "json", "litellm", "mistralai", "ollama", "openai", "pydantic_ai"}
    | {"requests", "simplejson", "socket", "ssl", "urllib", "urllib3"}
)
# Theirs say what the caller's own server is to answer.
WEB_FRAMEWORKS = frozenset({"fastapi", "litestar", "rest_framework", "starlette"})
NAMES: dict[str, Reason | None] = {
    "SSLError": Reason.TLS,
    "ClientSSLError": Reason.TLS,
    "TimeoutError": Reason.TIMEOUT,
    "Timeout": Reason.TIMEOUT,
    "TimeoutException": Reason.TIMEOUT,
    "APITimeoutError": Reason.TIMEOUT,
    "ConnectionError": Reason.CONNECTION,
    "APIConnectionError": Reason.CONNECTION,
    "ClientConnectionError": Reason.CONNECTION,
    "ClientPayloadError": Reason.CONNECTION,
    "ChunkedEncodingError": Reason.CONNECTION,
    "HTTPException": Reason.CONNECTION,
    "ProtocolError": Reason.CONNECTION,
    "TransportError": Reason.CONNECTION,
    "URLError": Reason.CONNECTION,
    "gaierror": Reason.CONNECTION,
    # The endpoint itself is unusable; the next step has another one.
    "InvalidURL": Reason.CONNECTION,
    "InvalidSchema": Reason.CONNECTION,
    "MissingSchema": Reason.CONNECTION,
    "TooManyRedirects": Reason.CONNECTION,
    "RetryError": Reason.SERVER_ERROR,
    "JSONDecodeError": Reason.UNPARSABLE,
    "ContentDecodingError": Reason.UNPARSABLE,
    "ContentTypeError": Reason.UNPARSABLE,
    "DecodingError": Reason.UNPARSABLE,
    "APIResponseValidationError": Reason.UNPARSABLE,
    "UnparsableReply": Reason.UNPARSABLE,
    # Bare, without a status: an error event inside a stream.
    "APIError": Reason.SERVER_ERROR,
    # Pydantic AI wraps what its SDKs raise; the bare one is an answer that cannot be read.
    "ModelAPIError": Reason.UNPARSABLE,
    "ModelAuthenticationError": Reason.UNAUTHORIZED,
    "ModelConnectionError": Reason.CONNECTION,
    "ModelNotFoundError": Reason.NOT_FOUND,
    "ModelQuotaExceededError": Reason.QUOTA,
    "ModelRateLimitError": Reason.RATE_LIMITED,
    "ModelRequestRejectedError": None,
    "ModelRequestTimeout": Reason.TIMEOUT,
    "ModelServerError": Reason.SERVER_ERROR,
    "ModelTimeoutError": Reason.TIMEOUT,
    "ModelUnavailableError": Reason.SERVER_ERROR,
}
STATUSES = {
    401: Reason.UNAUTHORIZED,
    402: Reason.QUOTA,
    403: Reason.UNAUTHORIZED,
    404: Reason.NOT_FOUND,
    408: Reason.TIMEOUT,
    429: Reason.RATE_LIMITED,
    504: Reason.TIMEOUT,
}
# What providers write into the body. Some say these things with status 400.
DECISIVE_CODES = {
    "insufficient_quota": Reason.QUOTA,
    "billing_error": Reason.QUOTA,
    "billing_hard_limit_reached": Reason.QUOTA,
    "billing_not_active": Reason.QUOTA,
    "model_not_found": Reason.NOT_FOUND,
    "invalid_api_key": Reason.UNAUTHORIZED,
    "authentication_error": Reason.UNAUTHORIZED,
    "permission_error": Reason.UNAUTHORIZED,
}
STREAM_CODES = DECISIVE_CODES | {
    "not_found_error": Reason.NOT_FOUND,
    "rate_limit_exceeded": Reason.RATE_LIMITED,
    "rate_limit_error": Reason.RATE_LIMITED,
    "timeout_error": Reason.TIMEOUT,
}
CALLERS_CODES = frozenset({"invalid_request_error", "request_too_large", "invalid_prompt"})
NETWORK_ERRNOS = frozenset(
    {errno.EADDRNOTAVAIL, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH}
)


def classify(error: BaseException) -> StepFailure | None:
    """What failed in the step; None where the next step would fare no better.

    None for a refused request (400, 422), a cancellation, and whatever is the caller's own.
    """
    if not isinstance(error, Exception):  # KeyboardInterrupt, CancelledError, GeneratorExit
        return None
    status = status_of(error)
    reason = _reason(error, status)
    if reason is None:
        return None
    return StepFailure(reason, status, _retry_after(error))


def _reason(error: Exception, status: int | None) -> Reason | None:
    codes = set(_codes(error))
    if status is None or status < 400:  # none, or an error event inside a 200 stream
        return _by_code(codes, STREAM_CODES) or _by_name(error, codes)
    if status in (400, 403, 429):
        decisive = _by_code(codes, DECISIVE_CODES)
        # Anthropic has no code for this one.
        if decisive is None and "credit balance is too low" in str(error):
            decisive = Reason.QUOTA
        return decisive or STATUSES.get(status)
    return STATUSES.get(status, Reason.SERVER_ERROR if status >= 500 else None)


def status_of(error: BaseException) -> int | None:
    """The HTTP status an exception carries, under whatever name; not what it is to answer with."""
    if any(_family(c) in WEB_FRAMEWORKS for c in type(error).__mro__):
        return None
    own = getattr(error, "status_code", None)
    answered = getattr(getattr(error, "response", None), "status_code", None)
    candidates = [own, answered]
    if _family(type(error)) in FAMILIES:  # `code` alone means anything elsewhere
        candidates += [getattr(error, "status", None), getattr(error, "code", None)]
    return next((c for c in candidates if isinstance(c, int) and 100 <= c <= 599), None)


def _by_code(codes: set[str], meanings: Mapping[str, Reason]) -> Reason | None:
    return next((meanings[code] for code in sorted(codes) if code in meanings), None)


def _by_name(error: Exception, codes: set[str]) -> Reason | None:
    named = [NAMES[c.__name__] for c in _known_classes(error) if c.__name__ in NAMES]
    if not named:
        network = isinstance(error, OSError) and error.errno in NETWORK_ERRNOS
        return Reason.CONNECTION if network else None
    if Reason.TIMEOUT in named:  # requests' ConnectTimeout is a ConnectionError first
        return Reason.TIMEOUT
    if named[0] is Reason.SERVER_ERROR and codes & CALLERS_CODES:
        return None
    if named[0] is Reason.CONNECTION and any(_is_tls(cause) for cause in _causes(error)):
        return Reason.TLS
    return named[0]


def _known_classes(error: BaseException) -> list[type]:
    """Of our own errors one alone is about a provider, the others about Switchyard's server."""
    mro = type(error).__mro__
    return [c for c in mro if _family(c) in FAMILIES or c.__name__ == "UnparsableReply"]


def _family(kind: type) -> str:
    return kind.__module__.partition(".")[0]


def _is_tls(error: BaseException) -> bool:
    return any(NAMES.get(c.__name__) is Reason.TLS for c in _known_classes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """What an SDK's error was raised from; bounded, for chains can be circular."""
    cause: BaseException | None = error
    for _ in range(8):
        cause = cause and (cause.__cause__ or cause.__context__)
        if cause is None:
            return
        yield cause


def _codes(error: Exception) -> Iterator[str]:
    """The texts by which a provider names its error: on the exception and in the body."""
    body = getattr(error, "body", None)
    inner = body.get("error") if isinstance(body, Mapping) else None
    for source in (error, body, inner):
        for name in ("code", "type"):
            found = source.get(name) if isinstance(source, Mapping) else getattr(source, name, None)
            if isinstance(found, str):
                yield found


def _retry_after(error: Exception) -> float | None:
    headers: Any = getattr(getattr(error, "response", None), "headers", None)
    value = headers.get("retry-after") if hasattr(headers, "get") else None
    return retry_after(value) if isinstance(value, str) else None
