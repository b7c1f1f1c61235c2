"""A key that does not show itself: not in a repr, a log line, a format string or a pickle."""

import hmac
from typing import Any, Final

MASK: Final = "**********"


class Secret:
    """A masked string; `get_secret_value()` is the one way to the clear text."""

    __slots__ = ("_value",)
    _value: str | None

    def __init__(self, value: str) -> None:
        object.__setattr__(self, "_value", value)

    def get_secret_value(self) -> str:
        """The clear text.

        Raises ValueError on a secret that came out of a pickle: keys do not travel between
        processes, each process asks its own client.
        """
        if self._value is None:
            raise ValueError("this secret was masked when it was pickled; read the config again")
        return self._value

    def __repr__(self) -> str:
        return f"Secret('{MASK}')"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        if self._value is None or other._value is None:
            return self is other
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Secret cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("a Secret cannot be changed")

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "Secret":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _masked, ()


def _masked() -> Secret:
    """What a pickled secret turns into: masked, and refusing to give a wrong key."""
    secret = Secret("")
    object.__setattr__(secret, "_value", None)
    return secret
