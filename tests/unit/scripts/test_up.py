"""What `make up` derives from the settings before it starts anything."""

import sys
from pathlib import Path

import pytest

from app.settings import load_settings
from scripts import up
from scripts.stack.data_folder import StackRecord, keep
from scripts.stack.leftovers import RUN_VARIABLE

_RECORD = StackRecord(pid=1, url="http://127.0.0.1:8000", run="abc")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("switchyard.lan", "http://switchyard.lan:8000"),
    ],
)
def test_url_is_one_that_can_be_called(host: str, url: str) -> None:
    assert up._url({"HOST": host, "PORT": 8000}) == url


def test_children_find_the_settings_the_mark_and_this_python() -> None:
    settings = load_settings({"DATA_DIR": "/data", "PORT": "8123", "WEB_CONCURRENCY": "2"})
    env = up._children_env(settings, _RECORD)
    assert (env["DATA_DIR"], env["HOST"], env["PORT"]) == ("/data", "127.0.0.1", "8123")
    assert (env["WEB_WORKER_CLASS"], env["WEB_CONCURRENCY"]) == ("gthread", "2")
    assert env[RUN_VARIABLE] == "abc"
    assert env["PATH"].split(":")[0] == str(Path(sys.executable).parent)


def test_procfile_has_the_web_server_and_the_worker() -> None:
    assert [child.name for child in up._procfile_children({})] == ["web", "worker"]


def test_banner_tells_what_an_interrupted_start_had_made(tmp_path: Path) -> None:
    settings = {"DATA_DIR": str(tmp_path), "HOST": "127.0.0.1", "PORT": 8000}
    made = {"admin_email": "admin@example.com", "admin_password": None, "client_token": None}
    assert up._banner(settings, made, 1.0).admin_password is None
    keep(tmp_path, "admin-password", "made-then")
    keep(tmp_path, "client-token", "sy_made_then")
    banner = up._banner(settings, made, 1.0)
    assert (banner.admin_password, banner.client_token) == ("made-then", "sy_made_then")
