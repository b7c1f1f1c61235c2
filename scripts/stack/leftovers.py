"""Processes that a killed supervisor left behind, found by a mark in their environment.

A process id alone may belong to a stranger by now; nobody else carries the mark of a run.
"""

import time

import psutil  # type: ignore[import-untyped]

RUN_VARIABLE = "SWITCHYARD_RUN"
_GRACE = 5.0  # seconds between SIGTERM and SIGKILL


def find_leftovers(run: str) -> list[psutil.Process]:
    """Every living process of that run, whoever its parent is now."""
    return [process for process in psutil.process_iter() if _run_of(process) == run]


def end_leftovers(run: str, grace: float = _GRACE) -> int:
    """SIGTERM, and after ``grace`` seconds SIGKILL; answers how many there were."""
    ended: set[int] = set()
    deadline = time.monotonic() + grace
    while processes := find_leftovers(run):
        late = time.monotonic() > deadline
        for process in processes:
            _send(process, kill=late, first_time=process.pid not in ended)
            ended.add(process.pid)
        psutil.wait_procs(processes, timeout=0.2)
    return len(ended)


def _run_of(process: psutil.Process) -> str | None:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        run: str | None = process.environ().get(RUN_VARIABLE)
        return run
    except (psutil.Error, OSError):
        return None  # gone meanwhile, or another user's: not ours either way


def _send(process: psutil.Process, *, kill: bool, first_time: bool) -> None:
    try:
        if kill:
            process.kill()
        elif first_time:
            process.terminate()
    except psutil.NoSuchProcess:
        pass  # it ended between the look and the signal
