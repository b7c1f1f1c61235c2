"""The data folder: who runs on it (one stack at a time) and the small files beside the database."""

import fcntl
import json
import os
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from scripts.stack.errors import StartError

STACK_FILE = "stack.json"
CLIENT_TOKEN_FILE = "client-token"  # noqa: S105 - a name, not a token
ADMIN_PASSWORD_FILE = "admin-password"  # noqa: S105 - a name as well


@dataclass(frozen=True)
class StackRecord:
    """Who runs on a data folder: the supervisor and the mark that all its children carry."""

    pid: int
    url: str
    run: str

    @classmethod
    def of_this_process(cls, url: str) -> "StackRecord":
        return cls(pid=os.getpid(), url=url, run=secrets.token_hex(12))


class AlreadyRunningError(StartError):
    """Another `make up` holds the data folder."""


class DataFolderLock:
    """Held for as long as a stack runs; the kernel lets go of it however the holder ends.

    The lock and the record share one file, so a record can never belong to another lock.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / STACK_FILE
        self._file: IO[str] | None = None

    def try_acquire(self) -> bool:
        # A descriptor of this process alone: Python does not hand it on to children, who would
        # otherwise hold the lock after kill -9 of the supervisor.
        file = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        return True

    def record(self) -> StackRecord | None:
        """The present holder's record, or the one a killed holder left behind."""
        try:
            return StackRecord(**json.loads(self._path.read_text()))
        except (OSError, ValueError, TypeError):
            return None  # none yet, or in the middle of being written

    def write(self, record: StackRecord | None) -> None:
        """Say who holds the lock; None once everything has been stopped."""
        assert self._file is not None, "only the holder of the lock writes"
        self._file.seek(0)
        self._file.truncate()
        self._file.write(json.dumps(asdict(record)) if record else "")
        self._file.flush()

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def acquire_or_explain(lock: DataFolderLock, data_dir: Path) -> None:
    """Take the lock, or raise AlreadyRunningError saying where the first one is."""
    if lock.try_acquire():
        return
    deadline = time.monotonic() + 1  # the holder writes its record right after locking
    while (holder := lock.record()) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    where = f"at {holder.url} (process {holder.pid})" if holder else "(it is just starting)"
    raise AlreadyRunningError(
        f"Switchyard already runs on {data_dir} {where}. Stop it with `make down`, "
        "or start a second one beside it: make up DATA_DIR=... PORT=..."
    )


def prepare_data_dir(data_dir: Path) -> None:
    """Make the folder, readable by its owner alone: it holds the keys."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        usable = os.access(data_dir, os.R_OK | os.W_OK | os.X_OK)
    except OSError as error:
        raise StartError(
            f"DATA_DIR: cannot make {data_dir} ({error.strerror}). Set DATA_DIR to a folder "
            "that you may write to."
        ) from None
    if not usable:
        raise StartError(f"DATA_DIR: cannot write to {data_dir}. Set DATA_DIR to another folder.")


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read; it appears whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def keep(data_dir: Path, name: str, value: str | None) -> None:
    """Keep what set-up has made just now; where it made nothing, what was kept before stays."""
    if value:
        write_private(data_dir / name, value + "\n")


def kept(data_dir: Path, name: str) -> str | None:
    """What was kept under this name, at an earlier start or at this one."""
    path = data_dir / name
    return path.read_text().strip() if path.exists() else None
