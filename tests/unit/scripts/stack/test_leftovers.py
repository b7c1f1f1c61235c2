"""Only processes that carry the mark of the run are ended, whoever their parent is."""

import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest

from scripts.stack.leftovers import RUN_VARIABLE, end_leftovers, find_leftovers
from tests.support.processes import wait_until

Spawn = Callable[..., "subprocess.Popen[str]"]
_STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); "


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    started: list[subprocess.Popen[str]] = []

    def spawn(run: str | None, code: str = "print('up', flush=True); ") -> subprocess.Popen[str]:
        env = {RUN_VARIABLE: run} if run else {}
        process = subprocess.Popen(
            [sys.executable, "-c", code + "import time; time.sleep(60)"],
            env=env,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        started.append(process)
        return process

    yield spawn
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_processes_of_the_run_are_ended_and_no_others(spawn: Spawn) -> None:
    run, other = secrets.token_hex(8), secrets.token_hex(8)
    ours = [spawn(run), spawn(run)]
    strangers = [spawn(other), spawn(None)]

    assert {process.pid for process in find_leftovers(run)} == {p.pid for p in ours}
    assert end_leftovers(run) == 2

    assert not any(psutil.pid_exists(process.pid) for process in ours)
    assert [process.poll() for process in strangers] == [None, None]


def test_one_that_ignores_sigterm_is_killed(spawn: Spawn) -> None:
    run = secrets.token_hex(8)
    process = spawn(run, _STUBBORN)
    assert end_leftovers(run, grace=0.1) == 1
    assert not psutil.pid_exists(process.pid)


def test_nothing_left_is_zero(spawn: Spawn) -> None:
    run = secrets.token_hex(8)
    process = spawn(run)
    process.kill()
    wait_until(lambda: not find_leftovers(run), "a zombie is not a leftover")
    assert end_leftovers(run) == 0
