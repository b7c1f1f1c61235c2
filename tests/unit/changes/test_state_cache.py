"""A cache of one state: found at that state only, bounded, and safe without a lock."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.changes.services import State
from app.changes.state_cache import StateCache

NOW = State("epoch", 7, 0)


@pytest.fixture
def cache() -> StateCache[str]:
    cache: StateCache[str] = StateCache(3)
    cache.put(NOW, "a", "first")
    return cache


def test_what_was_stored_is_found_at_its_state(cache: StateCache[str]) -> None:
    assert cache.get(NOW, "a") == "first"
    assert cache.get(NOW, "b") is None
    assert cache.get(NOW._replace(log_floor=3), "a") == "first"


@pytest.mark.parametrize("other", [State("epoch", 8, 0), State("epoch", 6, 0), State("e2", 7, 0)])
def test_at_another_state_nothing_is_found(cache: StateCache[str], other: State) -> None:
    assert cache.get(other, "a") is None
    cache.put(other, "b", "second")
    assert cache.get(other, "b") == "second"
    assert cache.get(NOW, "a") is None
    assert len(cache) == 1


def test_what_was_not_asked_for_longest_goes_first(cache: StateCache[str]) -> None:
    for key in "bc":
        cache.put(NOW, key, key)
    assert cache.get(NOW, "a") == "first"
    cache.put(NOW, "d", "d")
    assert len(cache) == 3
    assert [cache.get(NOW, key) for key in "abcd"] == ["first", None, "c", "d"]


def test_many_threads_find_what_belongs_to_their_state_or_nothing() -> None:
    cache: StateCache[tuple[int, int]] = StateCache(8)

    def work(seed: int) -> None:
        for n in range(2_000):
            state = State("epoch", (n + seed) // 100, 0)
            key = (n * seed) % 16
            found = cache.get(state, key)
            assert found in (None, (state.rev, key))
            if found is None:
                cache.put(state, key, (state.rev, key))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(1, 9)))
    assert len(cache) <= 8
