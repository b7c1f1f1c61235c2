"""O1: is the process alive, and is everything it needs there? Both answer without login."""

from functools import cache
from pathlib import Path

import sqlalchemy as sa
from alembic.script import ScriptDirectory
from flask import Blueprint, current_app, jsonify
from flask.typing import ResponseReturnValue
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from sqlalchemy.exc import SQLAlchemyError

from app.core import heartbeat
from app.core.db import db, reading
from app.core.keys import check_before_serving
from app.core.redis import connect
from app.core.trouble import what_prevents_writing
from app.settings import SettingsError

blueprint = Blueprint("probes", __name__)


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """The process answers."""
    return jsonify({"status": "ok"})


@blueprint.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Database, migrations, keys, Redis, a worker: 200 when all are there, 503 naming each part."""
    parts = {**_database(), **_redis()}
    ready = all(state == "ok" for state in parts.values())
    body = {"status": "ok" if ready else "unavailable", **parts}
    return jsonify(body), 200 if ready else 503


def _database() -> dict[str, str]:
    try:
        with reading():
            state = what_prevents_writing(db.session.connection()) or "ok"
            parts = {"database": state, "migrations": _migrations()}
    except SQLAlchemyError:
        return {"database": "unreachable", "migrations": "unknown", "keys": "unknown"}
    return parts | {"keys": _keys()}


def _migrations() -> str:
    if not sa.inspect(db.session.connection()).has_table("alembic_version"):
        return "none yet"
    current = db.session.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return "ok" if current == _newest_migration() else "pending"


def _keys() -> str:
    """Keys of another database end the start of a process, but not where the database was away."""
    try:
        check_before_serving(current_app)
    except SettingsError:
        return "not this database's"
    return "ok"


def _redis() -> dict[str, str]:
    try:
        with connect(current_app.config["REDIS_URL"]) as redis:
            redis.set("switchyard:readyz", 1, ex=60)  # a full one still answers a ping
            worker = heartbeat.is_alive(redis)
    except AuthenticationError:
        return {"redis": "refuses the password", "worker": "unknown"}
    except ResponseError:
        return {"redis": "takes no writes", "worker": "unknown"}
    except RedisError:
        return {"redis": "unreachable", "worker": "unknown"}
    return {"redis": "ok", "worker": "ok" if worker else "no heartbeat"}


@cache
def _newest_migration() -> str | None:
    folder = Path(current_app.root_path).parent / "migrations"
    return ScriptDirectory(str(folder)).get_current_head()
