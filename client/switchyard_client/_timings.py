"""Every wait of the client in one place, in seconds; tests shorten them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """How long the client waits for what, in seconds."""

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
    safety_poll: float = 300.0
    """Polls with and without a broken stream."""
    poll_spread: float = 0.2
    """Polls are spread by this part, so that clients do not march in step."""
    refresh_gap: float = 1.0
    """Reads of stale values ask for a sync at most this often."""
    backoff_min: float = 1.0
    backoff_max: float = 60.0
    """Retries after a failure: random from the first, growing to the second."""
    unauthorized_min: float = 300.0
    unauthorized_max: float = 3600.0
    """Retries with a refused token."""
    retry_after_max: float = 3600.0
    """A server's Retry-After is believed up to this."""
    snapshot_delay: float = 1.0
    """Changes within this are written to disk together."""
    cooldown: float = 30.0
    cooldown_max: float = 600.0
    """A step that failed is left alone: this long at first, doubling with each failure."""
    usage_delay: float = 1.0
    """Usage events within this are sent together."""
    close: float = 2.0
    """`close()` returns after this at the latest."""
