"""Every setting with its value and where it comes from, and what runs. Secrets are never shown."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

import sqlalchemy as sa
from flask import current_app
from redis import RedisError
from sqlalchemy.engine import make_url

from app.changes.services import read_state
from app.core.db import db
from app.core.redis import connect
from app.settings import SUBJECTS, Setting, source_of

PACKAGES = ("Flask", "SQLAlchemy", "Flask-Admin", "celery", "redis", "gunicorn", "cryptography")


class Shown(NamedTuple):
    """A setting as a person may see it."""

    name: str
    value: str
    default: str
    source: str
    help: str


def list_settings(search: str = "") -> dict[str, list[Shown]]:
    """Those whose name or help, or whose subject's, has the text in it: by subject, in the order
    of docs/settings.md."""
    text = search.casefold()
    found = {
        subject: [_shown(it) for it in group if text in f"{subject} {it.name} {it.help}".casefold()]
        for subject, group in SUBJECTS.items()
    }
    return {subject: group for subject, group in found.items() if group}


def list_versions() -> list[tuple[str, str]]:
    """What runs, by name: the language, the libraries, the servers, the schema, the counter."""
    state = read_state()
    return [
        ("Python", platform.python_version()),
        *((name, version(name)) for name in PACKAGES),
        ("Database", _database()),
        ("Redis server", _redis()),
        ("Migration", str(db.session.scalar(sa.text("SELECT version_num FROM alembic_version")))),
        ("Rev", str(state.rev)),
        ("Epoch", state.epoch),
    ]


def _shown(setting: Setting) -> Shown:
    return Shown(
        setting.name,
        _value(setting, current_app.config),
        "" if setting.default is None else _text(setting.default),
        source_of(setting.name),
        setting.help,
    )


def _value(setting: Setting, config: Mapping[str, Any]) -> str:
    value = config.get(setting.name)
    if setting.secret:
        return "set, not shown" if value else "not set"
    if value is None:
        return "not set"
    if setting.name.endswith("_URL") and "@" in str(value):
        return make_url(str(value)).render_as_string(hide_password=True)
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _database() -> str:
    if db.engine.dialect.name == "sqlite":
        return f"SQLite {db.session.scalar(sa.text('SELECT sqlite_version()'))}"
    return f"PostgreSQL {db.session.scalar(sa.text('SHOW server_version'))}"


def _redis() -> str:
    try:
        with connect(current_app.config["REDIS_URL"]) as redis:
            return str(redis.info("server")["redis_version"])
    except RedisError:
        return "does not answer"
