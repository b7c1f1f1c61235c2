"""`make down`: stop the stack of this data folder, also what a killed supervisor left behind."""

import os
import signal
import sys
import time
from pathlib import Path

from app.settings import SettingsError, load_settings
from scripts.stack.data_folder import DataFolderLock, StackRecord
from scripts.stack.errors import StartError, in_words
from scripts.stack.leftovers import end_leftovers

_PATIENCE = 15.0  # seconds for a running supervisor to stop its children


def main() -> int:
    try:
        data_dir = Path(load_settings()["DATA_DIR"])
        print(stop(data_dir))
    except (StartError, SettingsError) as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(in_words(error))
    return 0


def stop(data_dir: Path) -> str:
    """Stop everything that runs on the folder; answers what was done, in a sentence."""
    if not data_dir.exists():
        return f"Nothing runs on {data_dir}."
    lock = DataFolderLock(data_dir)
    stopped = not lock.try_acquire()
    record = lock.record()
    if stopped:
        if record is None:
            raise StartError(f"A stack is just starting or ending on {data_dir}: try again.")
        _stop_supervisor(lock, record)
    ended = end_leftovers(record.run) if record else 0
    lock.write(None)
    lock.release()
    if ended:
        return f"Ended {ended} processes that a killed run had left on {data_dir}."
    return f"Stopped {record.url}." if stopped and record else f"Nothing runs on {data_dir}."


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 2


def _stop_supervisor(lock: DataFolderLock, record: StackRecord) -> None:
    # The lock is held, so the record is its holder's and the process is the one meant.
    os.kill(record.pid, signal.SIGTERM)
    deadline = time.monotonic() + _PATIENCE
    while not lock.try_acquire():
        if time.monotonic() > deadline:
            raise StartError(
                f"Process {record.pid} does not stop. kill -9 {record.pid}, then `make down` again."
            )
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
