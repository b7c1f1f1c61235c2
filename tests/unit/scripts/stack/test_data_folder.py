"""One stack a data folder, and small private files that appear whole."""

import os
import stat
from pathlib import Path

import pytest

from scripts.stack.data_folder import (
    AlreadyRunningError,
    DataFolderLock,
    StackRecord,
    acquire_or_explain,
    keep,
    kept,
    prepare_data_dir,
    write_private,
)
from scripts.stack.errors import StartError


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_second_lock_is_refused_with_the_place_of_the_first(tmp_path: Path) -> None:
    first = DataFolderLock(tmp_path)
    acquire_or_explain(first, tmp_path)
    first.write(StackRecord(pid=4711, url="http://127.0.0.1:8123", run="abc"))

    with pytest.raises(AlreadyRunningError) as refused:
        acquire_or_explain(DataFolderLock(tmp_path), tmp_path)

    for part in (str(tmp_path), "http://127.0.0.1:8123", "4711", "make down"):
        assert part in str(refused.value)
    first.release()


def test_released_lock_can_be_taken_and_the_record_is_empty(tmp_path: Path) -> None:
    first = DataFolderLock(tmp_path)
    assert first.try_acquire()
    first.write(StackRecord.of_this_process("http://127.0.0.1:1"))
    first.write(None)
    first.release()

    second = DataFolderLock(tmp_path)
    assert second.try_acquire()
    assert second.record() is None
    second.release()


def test_record_of_a_holder_that_was_killed_is_still_there(tmp_path: Path) -> None:
    record = StackRecord.of_this_process("http://127.0.0.1:1")
    killed = DataFolderLock(tmp_path)
    assert killed.try_acquire()
    killed.write(record)
    killed.release()  # what the kernel does for it

    assert DataFolderLock(tmp_path).record() == record
    assert record.pid == os.getpid()


def test_lock_is_not_inherited_by_children(tmp_path: Path) -> None:
    lock = DataFolderLock(tmp_path)
    assert lock.try_acquire()
    assert lock._file is not None
    assert not os.get_inheritable(lock._file.fileno())
    lock.release()


def test_every_run_has_a_mark_of_its_own() -> None:
    runs = {StackRecord.of_this_process("u").run for _ in range(10)}
    assert len(runs) == 10


def test_data_dir_is_private(tmp_path: Path) -> None:
    prepare_data_dir(tmp_path / "a" / "b")
    assert _mode(tmp_path / "a" / "b") == 0o700


def test_data_dir_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="DATA_DIR"):
        prepare_data_dir(tmp_path / "file" / "data")


def test_private_file_replaces_the_old_one_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_private(path, "one")
    write_private(path, "two")
    assert path.read_text() == "two"
    assert _mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_set_up_made_is_kept_for_later_starts(tmp_path: Path) -> None:
    assert kept(tmp_path, "client-token") is None
    keep(tmp_path, "client-token", "tok")
    keep(tmp_path, "client-token", None)
    assert kept(tmp_path, "client-token") == "tok"
    assert _mode(tmp_path / "client-token") == 0o600
