"""Many threads, one read: nobody gets what was read before they came."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.core.shared_read import SharedRead, Stuck
from tests.support.processes import PATIENCE, wait_until


class Watched:
    """A lock that says how many have asked for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.asked: list[float] = []
        self.release = self._lock.release

    def acquire(self, timeout: float) -> bool:
        self.asked.append(timeout)
        return self._lock.acquire(timeout=timeout)


class Slow:
    """A read whose first answer waits to be let go; each answer is its number, or an error."""

    def __init__(self, first: Callable[[], int] = lambda: 1) -> None:
        self.go = threading.Event()
        self.calls = 0
        self._first = first

    def __call__(self) -> int:
        self.calls += 1
        if self.calls > 1:
            return self.calls
        assert self.go.wait(PATIENCE)
        return self._first()


def _share(read: Slow, monkeypatch: pytest.MonkeyPatch, latecomers: int) -> list[Any]:
    """What the first gets, and what those get who come while it reads."""
    shared, turn = SharedRead(read, PATIENCE), Watched()
    monkeypatch.setattr(shared, "_turn", turn)
    with ThreadPoolExecutor(1 + latecomers) as pool:
        first = pool.submit(shared.get)
        wait_until(lambda: read.calls, "the first reads")
        others = [pool.submit(shared.get) for _ in range(latecomers)]
        wait_until(lambda: len(turn.asked) == 1 + latecomers, "the others wait")
        read.go.set()
        return [each.exception() or each.result() for each in (first, *others)]


def test_those_who_come_during_a_read_share_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Slow()
    assert _share(read, monkeypatch, 7) == [1] + [2] * 7
    assert read.calls == 2


def test_a_failure_is_its_own_readers_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> int:
        raise ConnectionError("gone")

    first, *others = _share(Slow(fail), monkeypatch, 3)
    assert isinstance(first, ConnectionError)
    assert others == [2, 2, 2]


def test_alone_everybody_reads_anew() -> None:
    read = Slow()
    read.go.set()
    shared = SharedRead(read)
    assert [shared.get() for _ in range(3)] == [1, 2, 3]


def test_nobody_waits_for_ever_for_another_ones_read() -> None:
    read = Slow()
    shared = SharedRead(read, patience=0.01)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(shared.get)
        wait_until(lambda: read.calls, "the first reads")
        with pytest.raises(Stuck):
            shared.get()
        read.go.set()
        assert first.result() == 1
