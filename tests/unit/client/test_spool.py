"""Spool files: locked while their process lives, gone when all is sent."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from switchyard_client import Timings, _usage
from switchyard_client._spool import Spool
from switchyard_client._usage import UsageReporter

FIRST, SECOND = {"event_id": "one"}, {"event_id": "two"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "snap[1]*.shot"  # a name that is no pattern


def files(path: Path) -> list[Path]:
    return sorted(item for item in path.parent.iterdir() if ".usage-" in item.name)


def test_what_one_leaves_the_next_takes_over_once(path: Path) -> None:
    left = Spool(path)
    assert left.append([FIRST])
    assert left.append([SECOND])
    assert len(files(path)) == 1
    left.close()
    first, second = Spool(path), Spool(path)
    assert first.is_needed()
    assert first.take_over() == [FIRST, SECOND]
    assert second.take_over() == []
    first.clear()
    assert files(path) == []
    assert not second.is_needed()


def test_what_is_held_is_not_needed_by_oneself(path: Path) -> None:
    spool = Spool(path)
    spool.append([FIRST])
    assert not spool.is_needed()
    assert spool.take_over() == []


def test_lines_that_are_no_events_are_passed_over(path: Path) -> None:
    file = path.with_name(f"{path.name}.usage-1-x.jsonl")
    file.write_bytes(b'[]\n{"event_id": 1}\n\xff\n' + json.dumps(FIRST).encode() + b'\n{"event')
    assert Spool(path).take_over() == [FIRST]


def test_other_files_beside_the_snapshot_are_left_alone(path: Path) -> None:
    path.with_name(f"other{path.name}.usage-1-x.jsonl").write_text(json.dumps(FIRST))
    path.with_name(f"{path.name}.client-id").write_text("me")
    assert not Spool(path).is_needed()


def test_a_disk_that_refuses_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert not Spool(tmp_path / "no" / "folder").append([FIRST])
    assert "could not be written" in caplog.text


def test_a_disk_that_is_full_for_a_while_spoils_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spool, write = Spool(path), os.write

    def full(descriptor: int, content: bytes) -> int:
        if len(content) < 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, content[:-9])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        assert not spool.append([FIRST])
        assert not spool.append([FIRST])
    assert [record.levelname for record in caplog.records].count("WARNING") == 1
    assert spool.append([SECOND])
    spool.close()
    assert Spool(path).take_over() == [SECOND]


def test_a_child_that_closes_does_not_give_up_the_parents_lock(path: Path) -> None:
    spool = Spool(path)
    spool.append([FIRST])
    child = os.fork()
    if child == 0:
        spool.close()
        os._exit(0 if Spool(path).take_over() == [] else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert Spool(path).take_over() == []


def test_a_file_of_mostly_sent_events_is_begun_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_usage, "MAX_EVENTS", 2)
    reporter = UsageReporter(_no_transport, Timings(), Spool(path))
    reporter.close(1)  # nothing is sent from here on
    spool = reporter._spool
    assert spool is not None
    spool.append([{"event_id": f"sent-{number}"} for number in range(5)])
    reporter.submit(FIRST)
    reporter._spill()
    [file] = files(path)
    assert [json.loads(line) for line in file.read_text().splitlines()] == [FIRST]
    spool.clear()


def _no_transport() -> Any:
    raise AssertionError("nothing is to be sent here")
