"""Everything the client raises.

SwitchyardError
├── ConfigurationError      the client was set up wrongly (also a ValueError)
└── TransportError          an exchange with the server failed; reads never raise it
    ├── Unreachable         network, TLS, time-out, 5xx
    │   └── InvalidAnswer   something answered, but not a Switchyard server's answer
    ├── Unauthorized        401: the token is unknown, revoked or expired
    │   └── Forbidden       403: the token may not read this
    ├── NotFound            404
    ├── Throttled           429 or 503, with the server's `retry_after`
    └── StreamClosed        the server ended the stream, with its close `code`
"""


class SwitchyardError(Exception):
    """Base of every error of this library."""


class ConfigurationError(SwitchyardError, ValueError):
    """The client was set up wrongly; the message names the argument and the way out."""


class TransportError(SwitchyardError):
    """An exchange with the server failed. Never carries a token or a key."""


class Unreachable(TransportError):
    """The server did not answer: network, TLS, time-out or a 5xx."""


class InvalidAnswer(Unreachable):
    """Something answered, but not with what a Switchyard server says."""


class Unauthorized(TransportError):
    """The server refused the token (401)."""


class Forbidden(Unauthorized):
    """The token is valid but may not read this (403)."""


class NotFound(TransportError):
    """The server has no answer for this agent, not even a default one (404)."""


class Throttled(TransportError):
    """The server asked for patience (429 or 503)."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds to wait, or None where the server did not say."""


class StreamClosed(TransportError):
    """The server ended the stream."""

    def __init__(self, code: int | None, reason: str = "") -> None:
        super().__init__(f"stream closed by the server ({code}{': ' if reason else ''}{reason})")
        self.code = code
        """The close code of RFC 6455, or None for a plain end of file."""
