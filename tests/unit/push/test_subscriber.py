"""Who hears of what."""

import pytest

from app.push.messages import Item, ItemType
from app.push.subscriber import MAX_ITEMS, Audience

CHANGED = ItemType.AGENT_CONFIG_CHANGED


def audience(
    *topics: str, agents: set[str] | None = None, user: int | None = None, viewer: bool = False
) -> Audience:
    bound = None if agents is None else frozenset(agents)
    return Audience(frozenset(topics), bound, user, viewer)


def agent(slug: str, owner: int | None = None, former: int | None = None) -> Item:
    return Item(CHANGED, slug, owner_id=owner, former_owner_id=former)


A, B = agent("a"), agent("b")
PROVIDER = Item(ItemType.PROVIDER_STATUS, thing_id=1)
TASK = Item(ItemType.TASK_CHANGED, thing_id=1)


@pytest.mark.parametrize(
    ("who", "heard"),
    [
        (audience("agents"), [A, B]),
        (audience("agents", "providers"), [A, B, PROVIDER]),
        (audience("providers"), [PROVIDER]),
        (audience("tasks"), [TASK]),
        (audience("providers", "tasks"), [PROVIDER, TASK]),
        (audience("agent:b"), [B]),
        (audience("agents", agents={"b"}), [B]),
        (audience("agent:b", agents={"b"}), [B]),
        (audience("agent:a", agents={"b"}), []),
        (audience(), []),
    ],
)
def test_topics_and_bindings_decide(who: Audience, heard: list[Item]) -> None:
    assert who.select([A, B, PROVIDER, TASK], set()) == heard


def test_a_viewer_hears_of_their_own_and_of_nobodys() -> None:
    mine, nobodys, other = agent("m", 1, 1), agent("n"), agent("o", 2, 2)
    viewer = audience("agents", user=1, viewer=True)
    assert viewer.select([mine, nobodys, other], set()) == [mine, nobodys]


def test_a_viewer_who_lost_an_agent_fetches_everything() -> None:
    viewer = audience("agents", user=1, viewer=True)
    assert viewer.select([agent("given-away", owner=2, former=1)], set()) is None
    assert viewer.select([agent("given-away", owner=2, former=None)], set()) is None
    assert viewer.select([agent("received", owner=1, former=2)], set()) != []


def test_whoever_has_a_default_of_their_own_fetches_what_is_gone() -> None:
    gone = Item(ItemType.AGENT_DELETED, "x", gone=True)
    assert audience("agents", user=1).select([gone], {1}) is None
    assert audience("agents", user=2).select([gone], {1}) == [gone]
    assert audience("agents").select([gone], {1}) == [gone]


def test_a_name_without_an_agent_concerns_whoever_asks_about_it_and_nobody_else() -> None:
    ghost = Item(CHANGED, "ghost", gone=True)
    assert audience("agents").select([A, ghost], set()) == [A]
    assert audience("agents", user=1).select([A, ghost], {1}) == [A]
    assert audience("agents", "agent:ghost").select([A, ghost], set()) == [A, ghost]
    assert audience("agents", agents={"ghost"}).select([A, ghost], set()) == [ghost]


def test_more_than_fifty_are_fetched() -> None:
    items = [agent(f"a{number}") for number in range(MAX_ITEMS + 1)]
    assert audience("agents").select(items[:-1], set()) == items[:-1]
    assert audience("agents").select(items, set()) is None
    assert audience("agents", agents={"a3"}).select(items, set()) == [items[3]]


def test_the_slugs_that_are_asked_for_by_name() -> None:
    assert audience("agents").named == set()
    assert audience("agents").hears_everyone
    assert audience("agents", "agent:x", agents={"a"}).named == {"a", "x"}
    assert not audience("agents", agents={"a"}).hears_everyone
    assert audience("agent:x").named == {"x"}
    assert not audience("agent:x").hears_everyone
