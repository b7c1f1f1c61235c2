"""What a service may refuse with. Doors translate it: REST into its payload, admin into a message.

SwitchyardError
+-- NotFound        404
+-- Forbidden       403
+-- BadRequest      400   well-formed, but not allowed in this state
+-- Conflict        409   clashes with what is stored
+-- Stale           412   somebody else saved first
+-- Invalid         422   names the field
+-- Unavailable     503   try again later
"""

from typing import ClassVar


class SwitchyardError(Exception):
    """Something a caller can understand and act on. The message is shown to people."""

    status: ClassVar[int] = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadRequest(SwitchyardError):
    """The request is well-formed but not allowed in this state."""

    status = 400


class Forbidden(SwitchyardError):
    """The caller is known and may not do this."""

    status = 403


class NotFound(SwitchyardError):
    """There is no such thing, or none that the caller may see."""

    status = 404


class Conflict(SwitchyardError):
    """The change clashes with what is stored."""

    status = 409


class Stale(SwitchyardError):
    """The row was saved by somebody else since the caller read it."""

    status = 412


class Invalid(SwitchyardError):
    """A field's value is refused. ``errors`` maps field names to messages; ``_schema`` is no field,
    but all that was sent."""

    status = 422

    def __init__(self, errors: dict[str, list[str]], message: str | None = None) -> None:
        told = (" ".join(t) if k == "_schema" else f"{k}: {' '.join(t)}" for k, t in errors.items())
        super().__init__(message or "; ".join(told))
        self.errors = errors

    @classmethod
    def field(cls, name: str, message: str) -> "Invalid":
        """One field, one message."""
        return cls({name: [message]})


class Unavailable(SwitchyardError):
    """Something that Switchyard needs is away; ``retry_after`` is in seconds."""

    status = 503

    def __init__(self, message: str, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after
