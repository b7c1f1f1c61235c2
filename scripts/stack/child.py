"""One process under the supervisor: leader of a session of its own, its output on a pipe."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 30.0
_STEADY = 30.0  # seconds after which a crash counts as the first one again


class Child:
    """A command with its environment; it can be started again after it has ended."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        result: IO[bytes] | None = None,
    ) -> None:
        """``result`` takes what it prints on stdout; otherwise that goes to the pipe as well."""
        self.name = name
        self.restart_at: float | None = None
        self._command = list(command)
        self._env = dict(env)
        self._cwd = cwd
        self._result = result
        self._popen: subprocess.Popen[bytes] | None = None
        self._output: int | None = None
        self._partial = b""
        self._started = 0.0
        self._delay = _FIRST_DELAY

    def start(self) -> int:
        """Start it; answers the descriptor that its output arrives on."""
        self._output, writer = os.pipe()
        os.set_blocking(self._output, False)
        try:
            self._popen = subprocess.Popen(
                self._command,
                env=self._env,
                cwd=self._cwd,
                stdin=subprocess.DEVNULL,
                stdout=self._result or writer,
                stderr=writer,
                # A session of its own: Ctrl-C in the terminal reaches the supervisor alone,
                # which then stops its children in order.
                start_new_session=True,
            )
        finally:
            os.close(writer)
        self._started = time.monotonic()
        self.restart_at = None
        return self._output

    def read_lines(self) -> list[str] | None:
        """The lines that have arrived; None once nobody holds the other end any more."""
        assert self._output is not None, f"{self.name} was not started"
        try:
            data = os.read(self._output, 65536)
        except BlockingIOError:
            return []
        if not data:
            return None
        *lines, self._partial = (self._partial + data).split(b"\n")
        return [line.decode(errors="replace") for line in lines]

    def close_output(self) -> list[str]:
        """Close the pipe; answers what was left without an end of line."""
        assert self._output is not None, f"{self.name} was not started"
        os.close(self._output)
        self._output = None
        rest, self._partial = self._partial, b""
        return [rest.decode(errors="replace")] if rest else []

    @property
    def returncode(self) -> int | None:
        return self._process.poll()

    @property
    def running(self) -> bool:
        return self.returncode is None

    @property
    def ending(self) -> str:
        """How it ended, for people."""
        code = self.returncode or 0
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def terminate(self) -> None:
        """Ask it to end; whoever it started is its own to end."""
        self._process.terminate()

    def kill(self) -> None:
        """End its whole session: gunicorn's workers and Celery's beat can outlive their parent."""
        with suppress(ProcessLookupError):  # all of it has ended already
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def plan_restart(self) -> float:
        """Seconds until it may be started again; they double while it keeps crashing."""
        now = time.monotonic()
        if now - self._started > _STEADY:
            self._delay = _FIRST_DELAY
        delay, self._delay = self._delay, min(self._delay * 2, _LONGEST_DELAY)
        self.restart_at = now + delay
        return delay

    @property
    def _process(self) -> subprocess.Popen[bytes]:
        assert self._popen is not None, f"{self.name} was not started"
        return self._popen
