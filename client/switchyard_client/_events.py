"""What happens to the protocol, and what it asks to be done: plain data, no I/O."""

from dataclasses import dataclass
from enum import Enum, auto

from ._errors import StreamClosed, Throttled, TransportError, Unauthorized
from ._messages import Batch, SyncAnswer
from ._models import Status

CLOSE_OVER_CAPACITY = 1013
CLOSE_REFUSED = (4401, 4403)


class Cause(Enum):
    """Why an exchange failed, as far as it decides when to try again."""

    NETWORK = auto()
    REFUSED = auto()
    THROTTLED = auto()
    CAPACITY = auto()


@dataclass(frozen=True, slots=True)
class Failure:
    cause: Cause
    retry_after: float | None = None

    @classmethod
    def of(cls, error: TransportError) -> "Failure":
        """What an error of the transport means for the protocol."""
        if isinstance(error, Unauthorized):
            return cls(Cause.REFUSED)
        if isinstance(error, Throttled):
            return cls(Cause.THROTTLED, error.retry_after)
        if isinstance(error, StreamClosed) and error.code in CLOSE_REFUSED:
            return cls(Cause.REFUSED)
        if isinstance(error, StreamClosed) and error.code == CLOSE_OVER_CAPACITY:
            return cls(Cause.CAPACITY)
        return cls(Cause.NETWORK)


NETWORK_FAILURE = Failure(Cause.NETWORK)


# Events


@dataclass(frozen=True, slots=True)
class Started: ...


@dataclass(frozen=True, slots=True)
class Ticked:
    """Some deadline may have passed."""


@dataclass(frozen=True, slots=True)
class RefreshWanted:
    """A read met values that nobody confirms."""


@dataclass(frozen=True, slots=True)
class StreamOpened: ...


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """Could not be opened, or was open and ended."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class FrameReceived:
    frame: str


@dataclass(frozen=True, slots=True)
class SyncAnswered:
    answer: SyncAnswer | None
    """None: not modified."""


@dataclass(frozen=True, slots=True)
class SyncFailed:
    failure: Failure


@dataclass(frozen=True, slots=True)
class BatchApplied:
    batch: Batch


@dataclass(frozen=True, slots=True)
class BatchRefused:
    """Not applied: a key is missing that only the server can tell."""


Event = (
    Started
    | Ticked
    | RefreshWanted
    | StreamOpened
    | StreamEnded
    | FrameReceived
    | SyncAnswered
    | SyncFailed
    | BatchApplied
    | BatchRefused
)


# Actions


@dataclass(frozen=True, slots=True)
class Connect: ...


@dataclass(frozen=True, slots=True)
class Disconnect:
    reason: str


@dataclass(frozen=True, slots=True)
class Sync:
    """Ask S1. `since` None asks for everything."""

    epoch: str | None
    since: int | None
    etag: str | None


@dataclass(frozen=True, slots=True)
class Apply:
    """Hand a batch to the cache; answered by BatchApplied or BatchRefused."""

    batch: Batch


@dataclass(frozen=True, slots=True)
class SayHello:
    """Tell the server what has been applied."""

    epoch: str
    rev: int


@dataclass(frozen=True, slots=True)
class Confirm:
    """The server stands behind all values."""


@dataclass(frozen=True, slots=True)
class Expire:
    """Nobody has confirmed the values for the TTL."""


@dataclass(frozen=True, slots=True)
class SetStatus:
    status: Status


Action = Connect | Disconnect | Sync | Apply | SayHello | Confirm | Expire | SetStatus
