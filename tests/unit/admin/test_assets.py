"""Static files: kept for a year under their fingerprint, asked for again under any other name."""

import os
import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.admin.assets import Assets

KEPT = "public, max-age=31536000, immutable"
PLAIN = "/admin/static/console"

on_sqlite = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def caching(http: FlaskClient, path: str) -> tuple[str | None, str | None]:
    """What the answer says about keeping it: for how long, and for whom."""
    with http.get(path) as answer:
        assert answer.status_code == 200
        return answer.headers["Cache-Control"], answer.headers.get("Vary")


@on_sqlite
def test_what_a_page_loads_is_kept_with_all_that_it_imports(http: FlaskClient) -> None:
    # The login page opens a session, whose cookie the other requests bring along.
    found = re.findall(r'(?:href|src)="([^"]*/static/[^"]*)"', http.get("/login").text)
    assert len(found) >= 3
    for path in (*found, f"{found[0].rpartition('/')[0]}/js/toasts.js"):
        assert caching(http, path) == (KEPT, None)


@on_sqlite
def test_any_other_name_of_a_file_is_asked_for_again(http: FlaskClient) -> None:
    for path in (f"{PLAIN}/console.css", f"{PLAIN}/v-older/console.css"):
        assert caching(http, path)[0] == "no-cache"
    assert http.get(f"{PLAIN}/v-older/nowhere.css").status_code == 404


def test_a_changed_file_changes_the_fingerprint(tmp_path: Path) -> None:
    def fingerprint() -> str:
        return Assets("files", __name__, static_folder=str(tmp_path)).fingerprint

    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "one.js").write_text("1")
    before = fingerprint()
    assert fingerprint() == before
    (tmp_path / "js" / "one.js").write_text("2")
    assert fingerprint() != before


def test_a_file_that_was_replaced_under_a_running_server_is_not_kept(tmp_path: Path) -> None:
    """Whoever went back to the old version would have the new file under its name for a year."""
    app, style = Flask("app"), tmp_path / "style.css"
    style.write_text("old")
    app.register_blueprint(Assets("files", __name__, static_folder=str(tmp_path)))
    with app.test_request_context():
        path = app.jinja_env.globals["asset"]("style.css")
    http = app.test_client()
    assert caching(http, path)[0] == KEPT
    os.utime(style, (0, 0))
    assert caching(http, path)[0] == "no-cache"
