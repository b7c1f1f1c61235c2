"""Every wait of the client in one place, in seconds; tests shorten them."""

import math
from dataclasses import dataclass, fields

from ._errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """How long the client waits for what, in seconds. Raises ConfigurationError for no time."""

    first_read: float = 2.0
    """A first read of an agent waits this long for the server, then the chain goes on."""
    cold_retry: float = 5.0
    """A read that had to use a stand-in asks the server again after this."""
    connect: float = 5.0
    """Opening a connection."""
    request: float = 10.0
    """One HTTP answer; a whole sync may take three times this."""
    welcome: float = 5.0
    """No welcome on the stream for this long: poll."""
    heartbeats_missed: float = 3.0
    """Silence of this many heartbeats: the stream is dead."""
    poll: float = 30.0
    """Between polls while the stream is away, give or take a fifth."""
    safety_poll: float = 300.0
    """Between polls while the stream is fine."""
    poll_spread: float = 0.2
    """Polls are spread by this part, so that clients do not march in step."""
    refresh_gap: float = 1.0
    """Reads of stale values ask for a sync at most this often."""
    backoff_min: float = 1.0
    """First wait after a failure; the next ones are random and grow."""
    backoff_max: float = 60.0
    """The longest wait after a failure."""
    unauthorized_min: float = 300.0
    """First wait after the token was refused; it grows."""
    unauthorized_max: float = 3600.0
    """The longest wait with a refused token."""
    retry_after_max: float = 3600.0
    """A server's Retry-After is believed up to this."""
    snapshot_delay: float = 1.0
    """Changes within this are written to disk together."""
    cooldown: float = 30.0
    """How long a step is left alone after its first failure; it doubles."""
    cooldown_max: float = 600.0
    """The longest that a step is left alone, and that its Retry-After is believed."""
    usage_delay: float = 1.0
    """Usage events within this are sent together."""
    close: float = 2.0
    """`close()` returns after this at the latest."""

    def __post_init__(self) -> None:
        for item in fields(self):
            seconds = getattr(self, item.name)
            if not 0 <= seconds < math.inf or (
                seconds == 0 and item.name in ("connect", "request")
            ):
                raise ConfigurationError(f"{item.name} must be a number of seconds, not {seconds}")
