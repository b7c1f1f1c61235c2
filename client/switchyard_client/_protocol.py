"""The client's side of the push protocol, as a pure state machine.

`handle(event, now)` returns what is to be done; the listener does it and reports back with
further events. No I/O, no clock, no thread: every rule can be tested by feeding it events.
"""

import random
from enum import Enum, auto

from ._delays import Delays
from ._events import (
    NETWORK_FAILURE,
    Action,
    Apply,
    BatchApplied,
    BatchRefused,
    Cause,
    Confirm,
    Connect,
    Disconnect,
    Event,
    Expire,
    Failure,
    FrameReceived,
    RefreshWanted,
    SayHello,
    SetStatus,
    Started,
    StreamEnded,
    StreamOpened,
    Sync,
    SyncAnswered,
    SyncFailed,
    Ticked,
)
from ._messages import (
    Batch,
    Change,
    Goodbye,
    Heartbeat,
    Item,
    Message,
    Resync,
    SyncAnswer,
    Welcome,
    parse_frame,
)
from ._models import Status
from ._timings import Timings
from ._wire import Malformed

MAX_BATCH = 100_000


class Timer(Enum):
    """What the protocol waits for. The order is that of handling when several are due."""

    WELCOME = auto()
    """An open stream has to greet."""
    SILENCE = auto()
    """A stream that greeted has to go on talking."""
    PATIENCE = auto()
    """Without a stream for this long, polls begin."""
    EXPIRY = auto()
    POLL = auto()
    CONNECT = auto()


class Protocol:
    """Decides when to connect, when to poll, what to apply and when to ask for everything."""

    def __init__(
        self,
        timings: Timings,
        *,
        streaming: bool = True,
        ttl: float = 300,
        rng: random.Random | None = None,
    ) -> None:
        self.status = Status.INITIALIZING
        self.epoch: str | None = None
        self.rev: int | None = None
        self._timings = timings
        self._streaming = streaming
        self._ttl = ttl
        self._delays = Delays(timings, rng)
        self._timers: dict[Timer, float] = {}
        self._actions: list[Action] = []

        self._open = False
        self._welcomed = False
        self._polling = not streaming
        self._behind = True
        self._syncing = False
        self._full_asked = False
        self._refused = False
        self._etag: str | None = None
        self._next_etag: str | None = None
        self._last_sync = 0.0
        self._hold_until = 0.0
        self._heartbeat = 10.0
        self._stream_rev = 0
        self._pending: list[Item] = []
        self._pending_rev = 0
        self._stream_failures = 0
        self._sync_failures = 0
        self._stream_refusals = 0
        self._sync_refusals = 0

    @property
    def deadline(self) -> float | None:
        """When `Ticked` is wanted next."""
        return min(self._timers.values(), default=None)

    def handle(self, event: Event, now: float) -> list[Action]:  # noqa: C901  # flat dispatch
        """Take one event; the actions it asks for, in order."""
        self._actions = []
        match event:
            case Started():
                self._start(now)
            case Ticked():
                self._tick(now)
            case RefreshWanted():
                self._refresh(now)
            case StreamOpened():
                self._open = True
            case StreamEnded():
                self._lose_stream(event.failure, now)
            case FrameReceived():
                self._read_frame(event.frame, now)
            case SyncAnswered():
                self._take_answer(event.answer, now)
            case SyncFailed():
                self._syncing = False
                self._back_off(event.failure, now)
            case BatchApplied():
                self._note_applied(event.batch, now)
            case BatchRefused():
                self._fall_behind(now)
        self._update_status()
        return self._actions

    # Starting and waiting

    def _start(self, now: float) -> None:
        # Values first: a sync is one round trip, while a stream may hang for its whole time-out.
        self._sync(now)
        if self._streaming:
            self._connect(now)

    def _connect(self, now: float) -> None:
        self._timers.pop(Timer.CONNECT, None)
        self._timers[Timer.WELCOME] = now + self._timings.welcome
        if not self._polling:
            self._timers.setdefault(Timer.PATIENCE, now + self._timings.welcome)
        self._actions.append(Connect())

    def _tick(self, now: float) -> None:
        due = [timer for timer in Timer if self._timers.get(timer, now + 1) <= now]
        for timer in due:
            if self._timers.get(timer, now + 1) <= now:  # an earlier one may have moved it
                del self._timers[timer]
                self._expire(timer, now)

    def _expire(self, timer: Timer, now: float) -> None:
        match timer:
            case Timer.WELCOME if self._open:
                self._drop("no welcome", now)
            case Timer.PATIENCE:
                self._poll_at_once(now)
            case Timer.SILENCE:
                self._drop("silence", now)
                self._poll_at_once(now)
            case Timer.EXPIRY:
                self._actions.append(Expire())
            case Timer.POLL:
                self._sync(now)
            case Timer.CONNECT:
                self._connect(now)

    def _poll_at_once(self, now: float) -> None:
        self._polling = True
        self._timers.pop(Timer.PATIENCE, None)
        if self._sync_failures == 0:
            self._sync(now)

    def _refresh(self, now: float) -> None:
        failing = self._sync_failures > 0 or self._refused
        if not failing and now - self._last_sync >= self._timings.refresh_gap:
            self._sync(now)

    # The stream

    def _drop(self, reason: str, now: float) -> None:
        self._actions.append(Disconnect(reason))
        self._lose_stream(NETWORK_FAILURE, now)

    def _lose_stream(self, failure: Failure, now: float) -> None:
        was_welcomed, self._welcomed, self._open = self._welcomed, False, False
        self._pending.clear()
        self._stream_failures += 1
        for timer in (Timer.WELCOME, Timer.SILENCE):
            self._timers.pop(timer, None)
        self._timers[Timer.CONNECT] = now + self._reconnect_delay(failure)
        if was_welcomed:
            # A quick reconnect costs the server less than everybody's poll at the same moment.
            self._timers[Timer.PATIENCE] = now + self._timings.welcome
            self._timers.setdefault(Timer.EXPIRY, now + self._ttl)
        # S1 has the last word on a refusal: a proxy may refuse streams and let the API through.
        if failure.cause in (Cause.REFUSED, Cause.CAPACITY):
            self._poll_at_once(now)

    def _reconnect_delay(self, failure: Failure) -> float:
        if failure.cause is Cause.REFUSED:
            self._stream_refusals += 1
            return self._delays.after_refusal(self._stream_refusals)
        if failure.cause is Cause.CAPACITY:
            return self._delays.after_full_house()
        return self._delays.after(failure, self._stream_failures)

    def _read_frame(self, frame: str, now: float) -> None:
        self._timers[Timer.SILENCE] = now + self._timings.heartbeats_missed * self._heartbeat
        try:
            self._take_message(parse_frame(frame), now)
        except Malformed as error:
            self._drop(f"malformed message: {error}", now)
            self._fall_behind(now)

    def _take_message(self, message: Message, now: float) -> None:
        match message:
            case Welcome():
                self._take_welcome(message, now)
            case Change():
                self._stream_failures = 0
                self._take_change(message, now)
            case Heartbeat() if self._welcomed:
                # Not at the welcome: a server that greets and hangs up must not be hammered.
                self._stream_failures = 0
                self._take_heartbeat(message, now)
            case Resync():
                self._behind = True
                self._pending.clear()
                self._poll_in(self._delays.within(message.spread_s), now)
            case Goodbye():
                self._actions.append(Disconnect("the server said goodbye"))
                self._lose_stream(Failure(Cause.THROTTLED, message.retry_s), now)

    def _take_welcome(self, welcome: Welcome, now: float) -> None:
        self._welcomed, self._polling = True, False
        self._stream_refusals = 0
        self._heartbeat = welcome.heartbeat_s
        self._stream_rev = welcome.rev
        for timer in (Timer.WELCOME, Timer.PATIENCE):
            self._timers.pop(timer, None)
        self._timers[Timer.SILENCE] = now + self._timings.heartbeats_missed * self._heartbeat
        if now >= self._hold_until and not self._refused:
            self._sync_failures = 0  # the server is back: no use in sitting out the back-off
        if self._behind or (welcome.epoch, welcome.rev) != (self.epoch, self.rev):
            self._fall_behind(now)
        else:
            self._catch_up(now)
        self._hello()

    def _take_heartbeat(self, beat: Heartbeat, now: float) -> None:
        if beat.epoch != self.epoch or beat.last > (self.rev or 0):
            self._fall_behind(now)
        elif beat.rev < self._stream_rev:
            self._start_over(now)

    def _take_change(self, change: Change, now: float) -> None:
        if not self._welcomed:
            raise Malformed("a change before the welcome")
        if self._behind:
            return  # the sync that is due brings it
        if change.epoch != self.epoch or self.rev is None or change.prev > self.rev:
            self._fall_behind(now)
        elif change.rev < self._stream_rev and not self._pending:
            self._start_over(now)
        elif change.rev > self.rev:
            self._collect(change)
        self._stream_rev = change.rev

    def _collect(self, change: Change) -> None:
        if self._pending and change.rev != self._pending_rev:
            raise Malformed("a batch was left unfinished")
        if len(self._pending) >= MAX_BATCH:
            raise Malformed("a batch without end")
        self._pending_rev = change.rev
        self._pending += [change.item] if change.item else []
        if not change.more:
            items, self._pending = tuple(self._pending), []
            self._actions.append(Apply(Batch(change.epoch, change.rev, items)))

    # Syncing

    def _fall_behind(self, now: float) -> None:
        """Something was missed: what the stream says next is ignored until S1 has answered."""
        self._behind = True
        self._pending.clear()
        self._timers.setdefault(Timer.EXPIRY, now + self._ttl)
        if self._sync_failures == 0:  # else the poll timer is already running
            self._sync(now)

    def _start_over(self, now: float) -> None:
        """The server went back in time (a restored database): only everything will do."""
        self.rev = None
        self._fall_behind(now)

    def _sync(self, now: float) -> None:
        if self._syncing:
            return
        self._syncing = True
        self._last_sync = now
        self._full_asked = self.epoch is None or self.rev is None
        known = (None, None, None) if self._full_asked else (self.epoch, self.rev, self._etag)
        self._timers.pop(Timer.POLL, None)
        self._actions.append(Sync(*known))

    def _take_answer(self, answer: SyncAnswer | None, now: float) -> None:
        self._syncing = False
        if answer is None:
            self._catch_up(now)
            return
        batch = answer.batch
        foreign = batch.epoch != self.epoch or batch.rev < (self.rev or 0)
        if batch.full or not (foreign or self._full_asked):
            self._next_etag = answer.etag
            self._actions.append(Apply(batch))
        elif self._full_asked:  # asked for everything and got a part: no server of ours
            self._back_off(NETWORK_FAILURE, now)
        else:
            self.rev = None
            self._sync(now)

    def _note_applied(self, batch: Batch, now: float) -> None:
        self.epoch, self.rev = batch.epoch, batch.rev
        if batch.has_keys:  # it came from S1
            self._etag = self._next_etag
            self._catch_up(now)
        self._hello()

    def _catch_up(self, now: float) -> None:
        if self._sync_refusals and Timer.CONNECT in self._timers:
            self._timers[Timer.CONNECT] = now  # the token is good again
        self._behind = self._refused = False
        self._sync_failures = self._sync_refusals = 0
        if self._welcomed:
            self._timers.pop(Timer.EXPIRY, None)
            self._poll_in(self._delays.safety_poll(), now)
        else:
            self._timers[Timer.EXPIRY] = now + self._ttl
            self._poll_in(self._delays.poll(), now)
        self._actions.append(Confirm())

    def _back_off(self, failure: Failure, now: float) -> None:
        self._sync_failures += 1
        if failure.cause is Cause.REFUSED:
            self._refused = True
            self._sync_refusals += 1
            self._poll_in(self._delays.after_refusal(self._sync_refusals), now)
        else:
            delay = self._delays.after(failure, self._sync_failures)
            self._hold_until = now + delay if failure.retry_after else 0.0
            self._poll_in(delay, now)

    # Small parts

    def _hello(self) -> None:
        if self._welcomed and self.epoch is not None and self.rev is not None:
            self._actions.append(SayHello(self.epoch, self.rev))

    def _poll_in(self, delay: float, now: float) -> None:
        self._timers[Timer.POLL] = now + delay

    def _update_status(self) -> None:
        status = self._current_status()
        if status is not self.status:
            self.status = status
            self._actions.append(SetStatus(status))

    def _current_status(self) -> Status:
        if self._refused:
            return Status.UNAUTHORIZED
        if self._sync_failures:
            return Status.STALE
        if self.epoch is None:
            return Status.INITIALIZING
        return Status.LIVE if self._welcomed and not self._behind else Status.POLLING
