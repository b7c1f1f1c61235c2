"""The state machine, fed with events and a made-up clock. No I/O anywhere."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from switchyard_client._events import (
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
from switchyard_client._messages import Batch, SyncAnswer
from switchyard_client._protocol import Protocol
from switchyard_client._timings import Timings

NETWORK = Failure(Cause.NETWORK)
REFUSED = Failure(Cause.REFUSED)
CAPACITY = Failure(Cause.CAPACITY)

CONFIG = {"agent_id": "a", "llm_provider": "openai", "llm_model": "m"}


def full(rev: int = 10, epoch: str = "e", etag: str | None = None) -> SyncAnswered:
    return SyncAnswered(SyncAnswer(Batch(epoch, rev, full=True, has_keys=True), etag))


def delta(rev: int, epoch: str = "e", etag: str | None = None) -> SyncAnswered:
    return SyncAnswered(SyncAnswer(Batch(epoch, rev, has_keys=True), etag))


NOT_MODIFIED = SyncAnswered(None)


class World:
    """A protocol, a clock, and a cache that applies everything unless told otherwise."""

    def __init__(self, *, timings: Timings | None = None, **options: Any) -> None:
        self.now = 1000.0
        self.protocol = Protocol(timings or Timings(), rng=random.Random(1), **options)
        self.keys_missing = False

    def feed(self, event: Event) -> list[Action]:
        """Feed an event and, as the listener does, what applying a batch leads to."""
        actions = self.protocol.handle(event, self.now)
        for action in list(actions):
            if isinstance(action, Apply):
                outcome = BatchRefused() if self.keys_missing else BatchApplied(action.batch)
                actions += self.protocol.handle(outcome, self.now)
        return actions

    def frame(self, type_: str, **fields: Any) -> list[Action]:
        return self.feed(FrameReceived(json.dumps({"type": type_} | fields)))

    def change(self, rev: int, prev: int, **fields: Any) -> list[Action]:
        message = {"agent_id": "a", "config": CONFIG, "epoch": "e", "more": False}
        return self.frame("agent_config_changed", **(message | {"rev": rev, "prev": prev} | fields))

    def wait(self) -> list[Action]:
        """Let time pass up to the next deadline."""
        deadline = self.protocol.deadline
        assert deadline is not None
        self.now = max(self.now, deadline)
        return self.feed(Ticked())

    def wait_for(self, wanted: type[Action], limit: float = 10_000) -> float:
        """Let time pass until an action of a kind; how long it took."""
        started = self.now
        while not kinds(self.wait()).count(wanted):
            assert self.now - started < limit
        return self.now - started

    @property
    def status(self) -> str:
        return str(self.protocol.status)


def kinds(actions: list[Action]) -> list[type]:
    return [type(action) for action in actions]


def syncs(actions: list[Action]) -> list[Sync]:
    return [action for action in actions if isinstance(action, Sync)]


@pytest.fixture
def fresh() -> World:
    return World()


@pytest.fixture
def live() -> World:
    """Synced at rev 10, stream open and welcomed."""
    world = World()
    world.feed(Started())
    world.feed(full(10, etag="tag-10"))
    world.feed(StreamOpened())
    world.frame("welcome", epoch="e", rev=10, heartbeat_s=10)
    assert world.status == "LIVE"
    return world


@pytest.fixture
def polling() -> World:
    """Synced at rev 10, the stream could not be opened."""
    world = World()
    world.feed(Started())
    world.feed(full(10, etag="tag-10"))
    world.feed(StreamEnded(NETWORK))
    assert world.status == "POLLING"
    return world


# Starting


def test_it_starts_with_everything_and_the_stream(fresh: World) -> None:
    assert fresh.feed(Started()) == [Sync(None, None, None), Connect()]
    assert fresh.status == "INITIALIZING"


def test_without_streaming_it_never_connects() -> None:
    world = World(streaming=False)
    assert kinds(world.feed(Started())) == [Sync]
    world.feed(full())
    assert world.status == "POLLING"
    for _ in range(20):
        actions = world.wait()
        assert Connect not in kinds(actions)
        if syncs(actions):
            world.feed(NOT_MODIFIED)


def test_a_welcome_at_the_applied_rev_needs_no_sync(fresh: World) -> None:
    fresh.feed(Started())
    fresh.feed(full(10))
    fresh.feed(StreamOpened())
    actions = fresh.frame("welcome", epoch="e", rev=10, heartbeat_s=10)
    assert kinds(actions) == [Confirm, SayHello, SetStatus]
    assert fresh.status == "LIVE"


@pytest.mark.parametrize(("epoch", "rev"), [("e", 11), ("e", 9), ("other", 10)])
def test_any_other_welcome_leads_to_a_sync(fresh: World, epoch: str, rev: int) -> None:
    fresh.feed(Started())
    fresh.feed(full(10, etag="tag"))
    fresh.feed(StreamOpened())
    actions = fresh.frame("welcome", epoch=epoch, rev=rev, heartbeat_s=10)
    assert syncs(actions) == [Sync("e", 10, "tag")]
    assert fresh.status == "POLLING"
    fresh.feed(delta(11))
    assert fresh.status == "LIVE"
    assert fresh.protocol.rev == 11


def test_a_welcome_ends_the_back_off_of_failed_syncs(fresh: World) -> None:
    fresh.feed(Started())
    fresh.feed(SyncFailed(NETWORK))
    assert fresh.status == "STALE"
    fresh.feed(StreamOpened())
    assert syncs(fresh.frame("welcome", epoch="e", rev=10, heartbeat_s=10))


def test_a_welcome_does_not_end_what_retry_after_asked_for(fresh: World) -> None:
    fresh.feed(Started())
    fresh.feed(SyncFailed(Failure(Cause.THROTTLED, 60)))
    fresh.feed(StreamOpened())
    assert not syncs(fresh.frame("welcome", epoch="e", rev=10, heartbeat_s=10))


# Changes on the stream


def test_a_change_is_applied_and_acknowledged(live: World) -> None:
    actions = live.change(11, prev=10)
    assert kinds(actions) == [Apply, SayHello]
    batch = actions[0].batch
    assert (batch.epoch, batch.rev, batch.full, batch.has_keys) == ("e", 11, False, False)
    assert batch.items[0].config.model == "m"
    assert actions[1] == SayHello("e", 11)


def test_prev_may_be_behind_what_was_applied(live: World) -> None:
    assert Apply in kinds(live.change(15, prev=4))


def test_prev_beyond_what_was_applied_leads_to_a_delta(live: World) -> None:
    actions = live.change(13, prev=12)
    assert syncs(actions) == [Sync("e", 10, "tag-10")]
    assert Apply not in kinds(actions)
    assert live.status == "POLLING"


def test_while_behind_the_stream_is_not_applied(live: World) -> None:
    live.change(13, prev=12)
    assert live.change(14, prev=13) == []
    live.feed(delta(14))
    assert live.status == "LIVE"
    assert Apply in kinds(live.change(15, prev=14))


def test_what_a_sync_has_brought_already_is_ignored(live: World) -> None:
    live.change(13, prev=12)
    live.feed(delta(20))
    assert live.change(14, prev=13) == []
    assert live.protocol.rev == 20


def test_a_change_of_another_epoch_leads_to_a_sync(live: World) -> None:
    assert syncs(live.change(11, prev=10, epoch="other"))


def test_a_rev_that_goes_back_leads_to_everything(live: World) -> None:
    live.change(20, prev=10)
    assert syncs(live.change(15, prev=10)) == [Sync(None, None, None)]


def test_items_of_one_rev_are_applied_together(live: World) -> None:
    assert live.change(11, prev=10, more=True) == []
    assert live.frame("heartbeat", epoch="e", rev=11, last=10) == []
    assert live.change(11, prev=10, more=True, agent_id="b") == []
    actions = live.change(11, prev=10, more=False, agent_id="c")
    assert [item.agent_id for item in actions[0].batch.items] == ["a", "b", "c"]


def test_an_unfinished_batch_is_malformed(live: World) -> None:
    live.change(11, prev=10, more=True)
    actions = live.change(12, prev=11)
    # The second one does not follow on what was applied: the same as any gap.
    assert syncs(actions)
    assert Apply not in kinds(actions)


def test_a_batch_that_mixes_revs_drops_the_stream(live: World) -> None:
    live.change(11, prev=10, more=True)
    actions = live.change(12, prev=10)
    assert kinds(actions)[:2] == [Disconnect, Sync]


def test_an_unfinished_batch_does_not_outlive_its_stream(live: World) -> None:
    live.change(11, prev=10, more=True)
    live.feed(StreamEnded(NETWORK))
    live.wait_for(Connect)
    live.feed(StreamOpened())
    live.frame("welcome", epoch="e", rev=10, heartbeat_s=10)
    actions = live.change(12, prev=10)
    assert [item.agent_id for item in actions[0].batch.items] == ["a"]


def test_foreign_types_move_the_stream_on(live: World) -> None:
    live.frame("task_changed", epoch="e", rev=11, prev=10, more=False)
    assert live.protocol.rev == 11
    assert Apply in kinds(live.change(12, prev=11))


def test_unknown_messages_are_ignored(live: World) -> None:
    assert live.frame("weather", sun=True) == []


def test_a_missing_key_leads_to_a_sync_at_once(live: World) -> None:
    live.keys_missing = True
    actions = live.change(11, prev=10)
    assert syncs(actions) == [Sync("e", 10, "tag-10")]
    assert SayHello not in kinds(actions)
    live.keys_missing = False
    live.feed(delta(11))
    assert (live.protocol.rev, live.status) == (11, "LIVE")


def test_a_sync_that_fails_is_tried_again_while_the_stream_stays(live: World) -> None:
    live.change(13, prev=12)
    live.feed(SyncFailed(NETWORK))
    assert live.status == "STALE"
    assert live.change(14, prev=13) == []  # no storm of syncs from a busy stream
    assert 1 <= live.wait_for(Sync) <= 2
    live.feed(delta(14))
    assert live.status == "LIVE"


@pytest.mark.parametrize(
    "frame",
    [
        *("", "{", "[]", "7", "null", '{"type": 1}', '{"no": "type"}', "[" * 100_000, '{"a": NaN}'),
        json.dumps({"type": "welcome"}),
        json.dumps({"type": "welcome", "epoch": "e", "rev": True, "heartbeat_s": 1}),
        json.dumps({"type": "welcome", "epoch": "e", "rev": 1, "heartbeat_s": "x"}),
        json.dumps({"type": "heartbeat", "epoch": 7, "rev": 1}),
        json.dumps({"type": "agent_config_changed"}),
        json.dumps(
            {"type": "agent_created", "epoch": "e", "rev": 11, "prev": 10, "agent_id": "a"}
            | {"config": {"agent_id": "a"}}
        ),
    ],
)
def test_malformed_messages_drop_the_stream_and_resync(live: World, frame: str) -> None:
    actions = live.feed(FrameReceived(frame))
    assert kinds(actions)[:2] == [Disconnect, Sync]
    assert live.status == "POLLING"


def test_a_change_before_the_welcome_is_malformed(polling: World) -> None:
    polling.wait_for(Connect)
    polling.feed(StreamOpened())
    assert Disconnect in kinds(polling.change(11, prev=10))


# Heartbeats, resync, goodbye


def test_a_heartbeat_that_tells_nothing_new_does_nothing(live: World) -> None:
    assert live.frame("heartbeat", epoch="e", rev=30, last=10) == []


@pytest.mark.parametrize("beat", [{"epoch": "e", "last": 11}, {"epoch": "other", "last": 10}])
def test_a_heartbeat_that_tells_of_more_leads_to_a_sync(live: World, beat: Any) -> None:
    assert syncs(live.frame("heartbeat", rev=11, **beat)) == [Sync("e", 10, "tag-10")]


def test_a_heartbeat_behind_the_stream_leads_to_everything(live: World) -> None:
    live.change(20, prev=10)
    assert syncs(live.frame("heartbeat", epoch="e", rev=12, last=12)) == [Sync(None, None, None)]


def test_three_heartbeats_of_silence_end_the_stream(live: World) -> None:
    live.now += 25
    live.frame("heartbeat", epoch="e", rev=10, last=10)
    live.now += 29.9
    assert live.feed(Ticked()) == []
    live.now += 0.2
    actions = live.feed(Ticked())
    assert kinds(actions)[:2] == [Disconnect, Sync]
    assert live.status == "POLLING"


def test_resync_waits_a_part_of_its_spread(live: World) -> None:
    assert not syncs(live.frame("resync", epoch="e", rev=99, spread_s=5))
    assert live.change(100, prev=99) == []
    assert live.wait_for(Sync) <= 5


def test_goodbye_sets_the_time_of_the_reconnect(live: World) -> None:
    assert Disconnect in kinds(live.frame("goodbye", reason="restart", retry_s=30))
    assert 31 <= live.wait_for(Connect) <= 32


def test_a_welcome_without_a_heartbeat_means_the_usual_one(fresh: World) -> None:
    fresh.feed(Started())
    fresh.feed(full(10))
    fresh.feed(StreamOpened())
    fresh.frame("welcome", epoch="e", rev=10)
    assert fresh.wait_for(Disconnect) == pytest.approx(30)


def test_an_error_message_changes_nothing(live: World) -> None:
    assert live.frame("error", message="unknown topic") == []


# Losing the stream


def test_a_lost_stream_is_tried_again_soon_and_polls_wait_for_that(live: World) -> None:
    assert not syncs(live.feed(StreamEnded(NETWORK)))
    assert 1 <= live.wait_for(Connect) <= 2
    live.feed(StreamOpened())
    live.frame("welcome", epoch="e", rev=10, heartbeat_s=10)
    assert live.status == "LIVE"


def test_no_welcome_within_five_seconds_leads_to_a_poll(live: World) -> None:
    live.feed(StreamEnded(NETWORK))
    lost = live.now
    while not syncs(actions := live.wait()):
        if Connect in kinds(actions):
            live.feed(StreamEnded(NETWORK))
    assert live.now - lost == pytest.approx(5)


def test_an_open_stream_without_a_welcome_is_dropped(polling: World) -> None:
    polling.wait_for(Connect)
    polling.feed(StreamOpened())
    assert polling.wait_for(Disconnect) == pytest.approx(5)


def test_polls_come_every_thirty_seconds_spread(polling: World) -> None:
    gaps = []
    for _ in range(30):
        waited = 0.0
        while True:
            before = polling.now
            actions = polling.wait()
            waited += polling.now - before
            if Connect in kinds(actions):
                polling.feed(StreamEnded(NETWORK))
            if syncs(actions):
                polling.feed(NOT_MODIFIED)
                break
        gaps.append(waited)
    steady = gaps[2:]  # the first ones belong to the loss itself
    assert all(24 <= gap <= 36 for gap in steady)
    assert max(steady) - min(steady) > 2


def test_reconnects_back_off_to_a_minute(polling: World) -> None:
    gaps = []
    for _ in range(40):
        started = polling.now
        while Connect not in kinds(actions := polling.wait()):
            if syncs(actions):
                polling.feed(NOT_MODIFIED)
        polling.feed(StreamEnded(NETWORK))
        gaps.append(polling.now - started)
    assert all(1 <= gap <= 60 for gap in gaps)
    assert max(gaps) > 30


def test_an_instant_end_of_file_never_becomes_a_storm(fresh: World) -> None:
    """Even greeted each time: a welcome alone does not reset the back-off."""
    fresh.feed(Started())
    fresh.feed(full(10))
    dials = [fresh.now]
    while fresh.now < 1100:
        fresh.feed(StreamOpened())
        fresh.frame("welcome", epoch="e", rev=10, heartbeat_s=10)
        fresh.feed(StreamEnded(NETWORK))
        while Connect not in kinds(actions := fresh.wait()):
            if syncs(actions):
                fresh.feed(NOT_MODIFIED)
        dials.append(fresh.now)
    for start in dials:
        assert sum(start <= dial < start + 10 for dial in dials) <= 10
    assert len(dials) < 30


def test_a_stream_that_lived_is_tried_again_quickly(live: World) -> None:
    for _ in range(5):
        live.feed(StreamEnded(NETWORK))
        live.wait_for(Connect)
        live.feed(StreamOpened())
        live.frame("welcome", epoch="e", rev=10, heartbeat_s=10)
    live.frame("heartbeat", epoch="e", rev=10, last=10)
    live.feed(StreamEnded(NETWORK))
    assert live.wait_for(Connect) <= 2


def test_over_capacity_means_polling_and_patience(live: World) -> None:
    assert syncs(live.feed(StreamEnded(CAPACITY)))
    live.feed(NOT_MODIFIED)
    started = live.now
    while Connect not in kinds(actions := live.wait()):
        if syncs(actions):
            live.feed(NOT_MODIFIED)
    assert 30 <= live.now - started <= 60


def test_a_safety_poll_comes_every_five_minutes(live: World) -> None:
    started = live.now
    while not syncs(live.feed(Ticked())):
        live.now += 10
        live.frame("heartbeat", epoch="e", rev=10, last=10)
    assert 240 <= live.now - started <= 370


# Answers of S1


def test_not_modified_confirms(polling: World) -> None:
    polling.wait_for(Sync)
    assert Confirm in kinds(polling.feed(NOT_MODIFIED))
    assert polling.protocol.rev == 10


def test_the_etag_of_an_applied_answer_is_sent(polling: World) -> None:
    polling.wait_for(Sync)
    polling.feed(delta(12, etag="tag-12"))
    while not (asked := syncs(polling.wait())):
        polling.feed(StreamEnded(NETWORK))
    assert asked == [Sync("e", 12, "tag-12")]


@pytest.mark.parametrize("answer", [delta(12, epoch="other"), delta(9)])
def test_a_delta_that_does_not_fit_leads_to_everything(
    polling: World, answer: SyncAnswered
) -> None:
    polling.wait_for(Sync)
    actions = polling.feed(answer)
    assert actions == [Sync(None, None, None)]
    polling.feed(full(3, epoch="other"))
    assert (polling.protocol.epoch, polling.protocol.rev) == ("other", 3)


def test_a_part_where_everything_was_asked_for_is_a_failure(fresh: World) -> None:
    fresh.feed(Started())
    actions = fresh.feed(delta(12))
    assert not syncs(actions)
    assert fresh.status == "STALE"


def test_failed_syncs_back_off(polling: World) -> None:
    polling.wait_for(Sync)
    gaps = []
    for _ in range(40):
        polling.feed(SyncFailed(NETWORK))
        started = polling.now
        while not syncs(actions := polling.wait()):
            if Connect in kinds(actions):
                polling.feed(StreamEnded(NETWORK))
        gaps.append(polling.now - started)
    assert all(1 <= gap <= 60 for gap in gaps)
    assert max(gaps) > 30
    assert polling.status == "STALE"


def test_retry_after_is_obeyed_and_bounded(fresh: World) -> None:
    for asked, low, high in ((120, 121, 122), (1e9, 3601, 3660)):
        fresh.feed(Started())
        fresh.feed(StreamEnded(NETWORK))
        fresh.feed(SyncFailed(Failure(Cause.THROTTLED, asked)))
        started = fresh.now
        while not syncs(actions := fresh.wait()):
            if Connect in kinds(actions):
                fresh.feed(StreamEnded(NETWORK))
        assert low <= fresh.now - started <= high
        fresh.feed(SyncFailed(NETWORK))


# A refused token


def test_a_refused_token_is_tried_from_five_minutes_to_an_hour(fresh: World) -> None:
    fresh.feed(Started())
    fresh.feed(SyncFailed(REFUSED))
    fresh.feed(StreamEnded(REFUSED))
    assert fresh.status == "UNAUTHORIZED"
    gaps, started = [], fresh.now
    while len(gaps) < 8:
        actions = fresh.wait()
        if syncs(actions):
            gaps.append(fresh.now - started)
            started = fresh.now
            fresh.feed(SyncFailed(REFUSED))
        if Connect in kinds(actions):
            fresh.feed(StreamEnded(REFUSED))
    assert 300 <= gaps[0] <= 360
    assert all(300 <= gap <= 3600.001 for gap in gaps)
    assert gaps[-1] == pytest.approx(3600)


def test_a_closed_stream_for_a_revoked_token_asks_s1_for_the_last_word(live: World) -> None:
    assert syncs(live.feed(StreamEnded(REFUSED)))
    assert live.status == "POLLING"
    live.feed(SyncFailed(REFUSED))
    assert live.status == "UNAUTHORIZED"


def test_a_token_that_is_good_again_brings_the_stream_back_at_once(fresh: World) -> None:
    fresh.feed(Started())
    fresh.feed(SyncFailed(REFUSED))
    for _ in range(4):  # the stream's own retries have grown beyond those of the polls
        fresh.feed(StreamEnded(REFUSED))
    fresh.wait_for(Sync)
    fresh.feed(full())
    assert fresh.wait_for(Connect) == 0


# Freshness


def test_a_live_stream_keeps_values_fresh(live: World) -> None:
    for _ in range(100):
        live.now += 10
        live.frame("heartbeat", epoch="e", rev=10, last=10)
        actions = live.feed(Ticked())
        assert Expire not in kinds(actions)
        if syncs(actions):
            live.feed(NOT_MODIFIED)


def test_values_expire_a_ttl_after_the_stream(live: World) -> None:
    live.feed(StreamEnded(NETWORK))
    lost = live.now
    while Expire not in kinds(actions := live.wait()):
        if Connect in kinds(actions):
            live.feed(StreamEnded(NETWORK))
        if syncs(actions):
            live.feed(SyncFailed(NETWORK))
    assert live.now - lost == pytest.approx(300)


def test_a_poll_renews_the_ttl(polling: World) -> None:
    for _ in range(200):
        actions = polling.wait()
        assert Expire not in kinds(actions)
        if Connect in kinds(actions):
            polling.feed(StreamEnded(NETWORK))
        if syncs(actions):
            polling.feed(NOT_MODIFIED)


def test_a_stale_read_leads_to_one_sync_a_second(polling: World) -> None:
    polling.wait_for(Sync)
    polling.feed(NOT_MODIFIED)
    assert polling.feed(RefreshWanted()) == []
    polling.now += 1
    assert syncs(polling.feed(RefreshWanted()))
    assert polling.feed(RefreshWanted()) == []  # one is under way


@pytest.mark.parametrize("failure", [NETWORK, REFUSED, Failure(Cause.THROTTLED, 60)])
def test_a_stale_read_does_not_break_a_back_off(polling: World, failure: Failure) -> None:
    polling.wait_for(Sync)
    polling.feed(SyncFailed(failure))
    polling.now += 0.9
    assert polling.feed(RefreshWanted()) == []


# Anything at any time


def random_event(rng: random.Random) -> Event:
    def message() -> dict[str, Any]:
        return {
            "type": rng.choice(
                ["welcome", "heartbeat", "resync", "goodbye", "agent_config_changed", "x", None]
            ),
            "epoch": rng.choice(["e", "f"]),
            "rev": rng.randrange(20),
            "prev": rng.randrange(20),
            "last": rng.randrange(20),
            "more": rng.random() < 0.3,
            "agent_id": "a",
            "config": CONFIG,
            "heartbeat_s": 10,
            "spread_s": 1,
            "retry_s": 1,
        }

    makers: list[Callable[[], Event]] = [
        Ticked,
        RefreshWanted,
        StreamOpened,
        lambda: StreamEnded(rng.choice([NETWORK, REFUSED, CAPACITY])),
        lambda: FrameReceived(json.dumps(message())),
        lambda: FrameReceived(json.dumps(message())),
    ]
    return rng.choice(makers)()


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_it_waits_for_something_and_never_storms(seed: int) -> None:
    """Random histories: it never raises, never stops, and dials and asks at a bounded pace."""
    rng = random.Random(seed)
    world = World(timings=replace(Timings(), refresh_gap=1.0))
    counted = {Connect: 0, Sync: 0}

    def settle(actions: list[Action]) -> None:
        for action in actions:
            for kind in counted:
                counted[kind] += isinstance(action, kind)
            if isinstance(action, Sync):
                answer = full(rng.randrange(20)) if action.since is None else NOT_MODIFIED
                failed = SyncFailed(rng.choice([NETWORK, REFUSED]))
                settle(world.feed(failed if rng.random() < 0.3 else answer))

    settle(world.feed(Started()))
    started = world.now
    for _ in range(400):
        world.now += rng.random() * 3
        settle(world.feed(random_event(rng)))
        assert world.protocol.deadline is not None
    elapsed = world.now - started
    assert counted[Connect] <= elapsed / 1.0 + 1
    assert counted[Sync] <= 2 * 400
