"""Subprocesses of tests: bounded waits, and the log in the failure when one does not come up."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[2]
PYTHON = sys.executable
PATIENCE = 90
"""Seconds: only what never comes takes so long. The start of a server is three seconds of CPU."""


def wait_until(
    holds: Callable[[], object], what: str, timeout: float = PATIENCE, every: float = 0.02
) -> object:
    """The first truthy answer of `holds`; AssertionError naming `what` when none came in time."""
    deadline = time.monotonic() + timeout
    while True:
        if answer := holds():
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout} s")
        time.sleep(every)


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on.

    Below those that the system gives away, and at random: nobody else's connection, and no other
    test's server, takes it before it is used, or between the two lives of a server.
    """
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with socket.socket() as probe, suppress(OSError):  # taken: another one
            probe.bind(("127.0.0.1", port))
            return port


class ManagedProcess:
    """One subprocess in a session of its own, writing to a log file."""

    def __init__(self, argv: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
        self.argv = list(argv)
        self.log = log
        self.env = dict(env)
        self._popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as output:
            self._popen = subprocess.Popen(
                self.argv,
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def popen(self) -> subprocess.Popen[bytes]:
        assert self._popen is not None, f"not started: {self.argv}"
        return self._popen

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_until(self, holds: Callable[[], object], what: str, timeout: float = PATIENCE) -> None:
        """Wait for `holds`; a process that died or stays silent fails with the end of its log."""

        def holds_or_died() -> object:
            return not self.running or holds()

        try:
            wait_until(holds_or_died, what, timeout)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self._tail()}") from None
        if not self.running:
            raise AssertionError(f"{what}: exit code {self.popen.returncode}\n{self._tail()}")

    def wait_for_exit(self, timeout: float = PATIENCE) -> int:
        """The exit code; AssertionError with the log when it goes on running."""
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s\n{self._tail()}") from None

    def send(self, signum: int) -> None:
        self.popen.send_signal(signum)

    def kill(self) -> None:
        """kill -9 of the whole session: what a crash or the OOM killer does."""
        with suppress(ProcessLookupError):  # gone already, which is what was asked for
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait(PATIENCE)

    def stop(self, grace: float = 30) -> None:
        """SIGTERM, then SIGKILL for whatever of the session is left after `grace` seconds."""
        if self._popen is None:
            return
        if self.running:
            self.send(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):  # kill() ends it
                self.popen.wait(grace)
        self.kill()

    def _tail(self, lines: int = 40) -> str:
        end = "\n".join(self.output().splitlines()[-lines:])
        return f"--- {' '.join(self.argv)}\n{end}"


P = TypeVar("P", bound=ManagedProcess)


@contextmanager
def running(process: P) -> Iterator[P]:
    """Start and, whatever happens, stop."""
    process.start()
    try:
        yield process
    finally:
        process.stop()
