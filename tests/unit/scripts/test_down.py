"""`make down`; tests/integration/test_stack.py ends real stacks with it."""

from pathlib import Path

import pytest

from scripts.down import stop
from scripts.stack.data_folder import DataFolderLock
from scripts.stack.errors import StartError


def test_where_nothing_runs_there_is_nothing_to_stop(tmp_path: Path) -> None:
    assert stop(tmp_path / "none") == f"Nothing runs on {tmp_path / 'none'}."
    assert stop(tmp_path) == f"Nothing runs on {tmp_path}."


def test_a_stack_that_has_not_said_who_it_is_yet_is_left_alone(tmp_path: Path) -> None:
    lock = DataFolderLock(tmp_path)
    assert lock.try_acquire()
    with pytest.raises(StartError, match="just starting or ending"):
        stop(tmp_path)
    lock.release()
