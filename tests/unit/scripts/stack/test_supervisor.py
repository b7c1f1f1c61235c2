"""The loop that keeps children running and stops them in order."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from scripts.stack import child as child_module
from scripts.stack import supervisor as supervisor_module
from scripts.stack.child import Child
from scripts.stack.errors import StartError
from scripts.stack.supervisor import StopRequested, Supervisor
from tests.support.processes import wait_until

Lines = list[tuple[str, str]]
_SLEEP = "import time; print('up', flush=True); time.sleep(60)"
_STUBBORN = "import signal; signal.signal(15, signal.SIG_IGN); " + _SLEEP
_LAST_WORDS = (
    # os.write, for the signal may come in the middle of a print.
    "import os, signal\n"
    "signal.signal(15, lambda *_: (os.write(1, b'bye\\n'), os._exit(0)))\n" + _SLEEP
)
# A grandchild in the session of its parent, as gunicorn's workers are.
_PARENT = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "print(child.pid, flush=True)\n"
)


@pytest.fixture
def lines() -> Lines:
    return []


@pytest.fixture
def supervisor(lines: Lines) -> Iterator[Supervisor]:
    supervisor = Supervisor(lambda name, line: lines.append((name, line)))
    yield supervisor
    supervisor.stop()
    supervisor.close()


@pytest.fixture
def own_signals() -> Iterator[None]:
    """Give pytest its handlers back."""
    signums = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)
    handlers = {signum: signal.getsignal(signum) for signum in signums}
    yield
    signal.set_wakeup_fd(-1)
    for signum, handler in handlers.items():
        signal.signal(signum, handler)


def _python(name: str, code: str) -> Child:
    return Child(name, [sys.executable, "-c", code], os.environ, Path.cwd())


def _dead(process: psutil.Process) -> bool:
    """Gone, or waiting for its new parent to collect it."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _printed(lines: Lines, *expected: tuple[str, str]) -> Callable[[], bool]:
    return lambda: all(line in lines for line in expected)


def test_output_of_every_child_is_relayed_line_by_line(
    supervisor: Supervisor, lines: Lines
) -> None:
    supervisor.start(_python("a", "print('one\\ntwo'); " + _SLEEP), _python("b", _SLEEP))
    assert supervisor.run_until(_printed(lines, ("a", "one"), ("a", "two"), ("b", "up")), 90)


def test_child_that_ends_while_starting_is_an_error(supervisor: Supervisor, lines: Lines) -> None:
    supervisor.start(_python("web", "print('no such table', end=''); raise SystemExit(3)"))
    with pytest.raises(StartError, match=r"web ended while starting \(exit code 3\)"):
        supervisor.run_until(lambda: False, 90)
    assert ("web", "no such table") in lines


def test_crashed_child_is_started_again(
    supervisor: Supervisor, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "_FIRST_DELAY", 0.05)
    supervisor.start(_python("worker", "import os; print(os.getpid(), flush=True); " + _SLEEP))

    def pids() -> list[int]:
        return [int(line) for _, line in lines if line.isdigit()]

    assert supervisor.run_until(lambda: len(pids()) == 1, 90)
    os.kill(pids()[0], signal.SIGKILL)
    assert supervisor.run_until(lambda: len(pids()) == 2, 90, restart=True)
    assert ("switchyard", "worker ended (signal 9); again in 0.05 s") in lines


def test_delay_between_restarts_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "_LONGEST_DELAY", 1.5)
    child = _python("web", "pass")
    child._started = time.monotonic()
    assert [child.plan_restart() for _ in range(4)] == [0.5, 1.0, 1.5, 1.5]
    child._started -= child_module._STEADY + 1
    assert child.plan_restart() == 0.5


def test_run_once_answers_the_exit_code(supervisor: Supervisor, lines: Lines) -> None:
    assert supervisor.run_once(_python("setup", "print('hm'); raise SystemExit(4)")) == 4
    assert ("setup", "hm") in lines


def test_groups_are_stopped_last_one_first(supervisor: Supervisor, lines: Lines) -> None:
    supervisor.start(_python("redis", _LAST_WORDS))
    supervisor.start(_python("web", _LAST_WORDS))
    assert supervisor.run_until(_printed(lines, ("redis", "up"), ("web", "up")), 90)
    supervisor.stop()
    assert lines[-2:] == [("web", "bye"), ("redis", "bye")]


def test_child_that_ignores_sigterm_is_killed(
    supervisor: Supervisor, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "_GRACE", 0.2)
    stubborn = _python("web", _STUBBORN)
    supervisor.start(stubborn)
    assert supervisor.run_until(_printed(lines, ("web", "up")), 90)
    supervisor.stop()
    assert stubborn.returncode == -signal.SIGKILL


@pytest.mark.parametrize("ending", ["time.sleep(60)", "pass"])
def test_grandchildren_go_with_their_parent(
    supervisor: Supervisor, lines: Lines, ending: str
) -> None:
    supervisor.start(_python("web", _PARENT + ending))
    assert supervisor.run_until(lambda: bool(lines), 90, restart=True)
    grandchild = psutil.Process(int(lines[0][1]))
    supervisor.stop()
    wait_until(lambda: _dead(grandchild), "the grandchild ended", timeout=30)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stop_signal_ends_the_loop_at_once(
    supervisor: Supervisor, own_signals: None, signum: signal.Signals
) -> None:
    supervisor.listen_to_signals()
    supervisor.start(_python("web", _SLEEP))
    os.kill(os.getpid(), signum)
    with pytest.raises(StopRequested):
        supervisor.run_until(lambda: False, 90)


def test_time_out_is_an_answer_not_an_error(supervisor: Supervisor) -> None:
    supervisor.start(_python("web", _SLEEP))
    assert supervisor.run_until(lambda: False, 0.05) is False
