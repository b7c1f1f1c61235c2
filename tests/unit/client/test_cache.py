"""Applying batches: whole or not at all, keys kept by id, news for listeners."""

from typing import Any

import pytest
from switchyard_client._cache import Cache
from switchyard_client._messages import Batch, Item
from switchyard_client._models import AgentConfig, LLMStep
from switchyard_client._secret import Secret


def config(asked: str = "a", model: str = "m", rev: int = 1, **fields: Any) -> AgentConfig:
    plain = {"agent_id": asked, "requested_agent_id": asked, "provider": "openai"}
    return AgentConfig(**(plain | {"model": model, "rev": rev} | fields))


def batch(rev: int, *configs: AgentConfig, **fields: Any) -> Batch:
    items = tuple(Item(c.requested_agent_id, c) for c in configs)
    return Batch(**({"epoch": "e", "rev": rev, "items": items, "has_keys": True} | fields))


class World:
    def __init__(self) -> None:
        self.heard: list[tuple[str, AgentConfig]] = []
        self.cache = Cache(self.heard.extend)

    def model(self, agent_id: str) -> str | None:
        found = self.cache.find(agent_id)
        return found and found.model


@pytest.fixture
def world() -> World:
    """Two agents at rev 10, confirmed."""
    world = World()
    world.cache.apply(batch(10, config("a", rev=10), config("b", rev=10), full=True))
    world.cache.confirm()
    return world


def test_the_first_values_are_no_news(world: World) -> None:
    assert world.heard == []
    assert world.cache.fresh["a"].model == "m"


def test_a_change_is_published_and_told(world: World) -> None:
    before = world.cache.fresh
    changed = config("a", "n", rev=11)
    assert world.cache.apply(batch(11, changed))
    assert world.heard == [("a", changed)]
    assert world.cache.fresh["a"] is changed
    assert before["a"].model == "m"  # readers of the old snapshot are not disturbed


def test_a_new_agent_is_news(world: World) -> None:
    world.cache.apply(batch(11, config("c")))
    assert [agent_id for agent_id, _ in world.heard] == ["c"]


def test_nothing_is_told_where_nothing_differs(world: World) -> None:
    world.cache.apply(batch(11, config("a", rev=11, version=7, provider_status="error")))
    assert world.heard == []
    assert world.cache.fresh["a"].provider_status == "error"


def test_full_deletes_what_is_absent(world: World) -> None:
    world.cache.apply(batch(11, config("a"), full=True))
    assert world.model("b") is None
    assert world.cache.unlisted() == {"b"}  # to be asked for, so that listeners hear of it
    assert world.heard == []
    substitute = config("b", "default", rev=11, agent_id="default", source="default")
    assert world.cache.store(substitute, "e")
    assert world.heard == [("b", substitute)]
    assert world.cache.unlisted() == set()  # as new as the batch
    world.cache.apply(batch(12))
    assert world.cache.unlisted() == {"b"}  # its default may be another now


def test_an_answer_from_before_the_deletion_is_refused(world: World) -> None:
    gone = Item("a", None, deleted=True)
    world.cache.apply(Batch("e", 11, (gone,), has_keys=True))
    assert world.model("a") is None
    assert not world.cache.store(config("a", "late", rev=10), "e")
    assert world.model("a") is None
    assert world.cache.store(config("a", "now", rev=11), "e")


def test_absence_from_full_is_a_deletion_too(world: World) -> None:
    world.cache.apply(batch(11, config("a"), full=True))
    assert not world.cache.store(config("b", "late", rev=10), "e")


def test_an_agent_made_again_is_served_again(world: World) -> None:
    world.cache.apply(Batch("e", 11, (Item("a", None, deleted=True),), has_keys=True))
    world.cache.apply(batch(12, config("a", "again", rev=12)))
    assert world.model("a") == "again"
    assert world.cache.store(config("a", "quicker", rev=13), "e")


def test_a_read_that_was_slower_than_the_stream_is_refused(world: World) -> None:
    world.cache.apply(batch(12, config("a", "new", rev=12)))
    assert not world.cache.store(config("a", "old", rev=11), "e")
    assert world.model("a") == "new"


def test_a_read_that_was_quicker_than_a_batch_is_kept(world: World) -> None:
    world.cache.store(config("a", "newest", rev=13), "e")
    world.cache.apply(batch(12, config("a", "older", rev=12), full=True))
    assert world.model("a") == "newest"


def test_after_a_restore_the_lower_rev_wins(world: World) -> None:
    world.cache.apply(batch(3, config("a", "restored", rev=3), full=True))
    assert world.model("a") == "restored"


def test_a_read_of_another_epoch_is_refused(world: World) -> None:
    assert not world.cache.store(config("a", "foreign", rev=99), "other")


def test_guests_of_an_older_history_can_be_replaced(world: World) -> None:
    world.cache.store(config("guest", "old", rev=10, agent_id="default"), "e")
    world.cache.apply(batch(2, full=True, epoch="other"))
    assert world.model("guest") == "old"  # nothing valid is dropped
    assert world.cache.store(config("guest", "new", rev=2, agent_id="default"), "other")


def test_a_guest_of_before_the_last_batch_is_refused(world: World) -> None:
    assert not world.cache.store(config("guest", rev=9, agent_id="default"), "e")


def test_a_guest_the_server_no_longer_answers_for_is_dropped(world: World) -> None:
    world.cache.store(config("guest", rev=10, agent_id="default"), "e")
    world.cache.drop("guest")
    world.cache.drop("a")  # an agent of the server is not this function's to drop
    assert world.model("guest") is None
    assert world.model("a") == "m"
    built_in = config("guest", "built in", source="built_in")
    world.cache.put_stand_in("guest", built_in)
    assert world.heard == [("guest", built_in)]


def test_a_stand_in_is_not_fresh_and_its_end_is_news(world: World) -> None:
    stand_in = config("c", "built in", source="built_in")
    assert world.cache.put_stand_in("c", stand_in) is stand_in
    assert "c" not in world.cache.fresh
    assert world.cache.unlisted() == {"c"}
    real = config("c", rev=10)
    world.cache.store(real, "e")
    assert world.heard == [("c", real)]
    assert world.cache.stand_in("c") is None


def test_a_stand_in_never_hides_an_answer(world: World) -> None:
    known = world.cache.find("a")
    assert world.cache.put_stand_in("a", config("a", "built in")) is known


def test_a_stand_in_before_the_first_sync_is_replaced_with_news() -> None:
    world = World()
    world.cache.put_stand_in("a", config("a", source="built_in"))
    world.cache.apply(batch(10, config("a"), config("b"), full=True))
    assert [agent_id for agent_id, _ in world.heard] == ["a"]


def test_expired_values_are_kept_but_not_fresh(world: World) -> None:
    world.cache.expire()
    assert world.cache.fresh == {}
    assert world.model("a") == "m"
    world.cache.apply(batch(11, config("a", "n")))
    assert world.cache.fresh == {}
    world.cache.confirm()
    assert world.cache.fresh["a"].model == "n"


# Keys


def keyed(key: str | None, key_id: str | None, **fields: Any) -> AgentConfig:
    return config(api_key=key and Secret(key), api_key_id=key_id, **fields)


def pushed(rev: int, *configs: AgentConfig) -> Batch:
    return batch(rev, *configs, has_keys=False)


@pytest.fixture
def secret_world() -> World:
    world = World()
    spare = LLMStep(provider="x", model="x", api_key=Secret("sk-2"), api_key_id="k2")
    first = keyed("sk-1", "k1", fallbacks=(spare,))
    world.cache.apply(batch(10, first, config("b"), full=True))
    return world


def test_a_key_is_kept_while_its_id_is_the_same(secret_world: World) -> None:
    assert secret_world.cache.apply(pushed(11, keyed(None, "k1", model="n")))
    assert secret_world.cache.find("a").api_key == Secret("sk-1")


def test_a_key_is_found_at_any_step(secret_world: World) -> None:
    step = LLMStep(provider="x", model="y", api_key_id="k1")
    assert secret_world.cache.apply(pushed(11, keyed(None, "k2", fallbacks=(step,))))
    swapped = secret_world.cache.find("a")
    assert [s.api_key for s in swapped.steps] == [Secret("sk-2"), Secret("sk-1")]


def test_an_unknown_key_stops_the_whole_batch(secret_world: World) -> None:
    harmless = config("b", "n")
    assert not secret_world.cache.apply(pushed(11, harmless, keyed(None, "k9", model="n")))
    assert (secret_world.model("a"), secret_world.model("b")) == ("m", "m")
    assert secret_world.cache.snapshot.rev == 10
    assert secret_world.heard == []


def test_another_agents_key_does_not_help(secret_world: World) -> None:
    other = config("b", api_key_id="k1")
    assert not secret_world.cache.apply(pushed(11, other))


def test_no_key_id_means_no_key(secret_world: World) -> None:
    assert secret_world.cache.apply(pushed(11, keyed(None, None)))
    assert secret_world.cache.find("a").api_key is None


def test_a_key_the_token_may_not_read_is_none_and_known(secret_world: World) -> None:
    secret_world.cache.apply(batch(11, keyed(None, "k9")))
    assert secret_world.cache.apply(pushed(12, keyed(None, "k9", model="n")))
    assert secret_world.cache.find("a").api_key is None
    assert secret_world.model("a") == "n"
