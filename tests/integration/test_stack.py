"""`make up` and `make down` as a user meets them: the whole embedded stack, started for real."""

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from scripts.stack.leftovers import find_leftovers
from tests.support.processes import PYTHON, ROOT, ManagedProcess, free_port, running, wait_until
from tests.support.servers import (
    SECRETS,
    PostgresServer,
    RedisServer,
    http_get,
    server_env,
    short_folder,
)

UP = (PYTHON, "-m", "scripts.up")
DOWN = (PYTHON, "-m", "scripts.down")
# Through make, but without its installer: the environment of the tests is installed already.
MAKE_UP = ("make", "--old-file=install", f"PYTHON={PYTHON}", "up")
LONG = 120
"""Seconds for what takes several processes, one after the other, on a busy machine."""

pytestmark = [pytest.mark.timeout(3 * LONG), pytest.mark.xdist_group("stack")]

_numbers = itertools.count(1)


class Stack(ManagedProcess):
    """One `make up` on a data folder of its own; it makes its own keys, as for a first user."""

    def __init__(self, data_dir: Path, argv: tuple[str, ...] = UP, **settings: str) -> None:
        self.data_dir = data_dir
        env = server_env(data_dir, **{"PORT": str(free_port()), **settings})
        self.url = f"http://127.0.0.1:{env['PORT']}"
        made_by_up = {name: value for name, value in env.items() if name not in SECRETS}
        log = data_dir.parent / f"up-{next(_numbers)}.log"
        super().__init__(argv, log, {**made_by_up, **settings})

    def start(self) -> None:
        super().start()
        self.wait_until(lambda: "Ctrl-C stops it" in self.output(), "the stack is ready", LONG)

    @property
    def run(self) -> str:
        """The mark that all processes of this run carry."""
        run: str = json.loads((self.data_dir / "stack.json").read_text())["run"]
        return run

    @property
    def supervisor(self) -> int:
        pid: int = json.loads((self.data_dir / "stack.json").read_text())["pid"]
        return pid

    def banner(self, name: str) -> str:
        found = re.search(rf"^  {name} +(.+)$", self.output(), re.MULTILINE)
        assert found, f"no {name} in\n{self.output()}"
        return found[1]

    def ready(self) -> bool:
        return http_get(f"{self.url}/readyz").status == 200

    def child(self, part: str) -> psutil.Process | None:
        """The leading process of this run with `part` in its command line."""
        for process in find_leftovers(self.run):
            with suppress(psutil.Error, ProcessLookupError):  # it has ended since the look
                leads = process.pid == os.getsid(process.pid)
                if leads and part in " ".join(process.cmdline()):
                    return process
        return None


@contextmanager
def _stack(data_dir: Path, argv: tuple[str, ...] = UP, **settings: str) -> Iterator[Stack]:
    stack = Stack(data_dir, argv, **settings)
    try:
        with running(stack):
            yield stack
    finally:
        _down(stack)  # a test that failed half-way leaves nothing either


def _down(stack: Stack) -> str:
    return subprocess.run(
        DOWN, cwd=ROOT, env=stack.env, capture_output=True, text=True, check=True, timeout=LONG
    ).stdout


def _refused(stack: Stack) -> subprocess.CompletedProcess[str]:
    """A start that is expected to end by itself, soon."""
    return subprocess.run(
        stack.argv,
        cwd=ROOT,
        env=stack.env,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONG,
    )


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder / "data"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """One stack for the tests that leave it running."""
    with short_folder() as folder, _stack(folder / "data") as stack:
        yield stack


def test_first_start_is_ready_and_says_how_to_get_in(stack: Stack) -> None:
    assert stack.ready()
    assert b'name="password"' in http_get(f"{stack.url}/login").body
    assert stack.banner("e-mail") == "admin@example.com"
    assert len(stack.banner("password")) >= 12
    wait_until(lambda: not (stack.data_dir / "admin-password").exists(), "it is kept no longer")


def test_printed_example_runs(stack: Stack) -> None:
    example = re.search(r"^  from switchyard.*\n.*\n.*$", stack.output(), re.MULTILINE)
    assert example
    done = subprocess.run(
        [PYTHON, "-c", textwrap.dedent(example[0])],
        cwd=stack.data_dir,
        env=stack.env,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONG,
    )
    assert done.returncode == 0, done.stderr
    assert "mistral:7b-instruct" in done.stdout


def test_secrets_stay_with_their_owner(stack: Stack) -> None:
    for name in ("secrets.env", "client-token", "stack.json", "switchyard.db"):
        assert (stack.data_dir / name).stat().st_mode & 0o077 == 0
    assert stack.data_dir.stat().st_mode & 0o077 == 0


def test_redis_listens_on_a_socket_only(stack: Stack) -> None:
    redis = stack.child("redis-server")
    assert redis is not None
    assert redis.net_connections("inet") == []


def test_redis_is_not_told_what_the_environment_holds(stack: Stack) -> None:
    redis = stack.child("redis-server")
    assert redis is not None
    assert "SWITCHYARD_RUN" in redis.environ()
    assert not {"DATA_DIR", "PORT", "ADMIN_TOKEN"} & redis.environ().keys()


def test_second_start_says_where_the_first_is(stack: Stack) -> None:
    refused = _refused(Stack(stack.data_dir))
    assert refused.returncode == 1
    assert stack.url in refused.stderr
    assert str(stack.supervisor) in refused.stderr
    assert "Traceback" not in refused.stderr
    assert stack.ready()


def test_killed_processes_come_back(stack: Stack) -> None:
    parts = ("redis-server", "celery", "gunicorn")
    before = {part: stack.child(part) for part in parts}
    for process in before.values():
        assert process is not None
        os.killpg(process.pid, signal.SIGKILL)

    def others() -> bool:
        now = {part: stack.child(part) for part in parts}
        return all(now[part] and now[part] != before[part] for part in parts)

    wait_until(others, "all are started again", LONG)
    wait_until(stack.ready, "the stack is ready again", LONG)


def test_whatever_ends_it_the_next_start_finds_all_data(stack: Stack) -> None:
    """The last one on the shared stack."""
    data_dir, token = stack.data_dir, stack.banner("token")
    assert stack.url in _down(stack)
    assert stack.wait_for_exit() == 0

    with _stack(data_dir, MAKE_UP) as killed:
        assert killed.banner("token") == token
        assert killed.banner("password") == "(as set before)"
        run = killed.run
        os.kill(killed.supervisor, signal.SIGKILL)
        killed.wait_for_exit()
        assert find_leftovers(run) != []

        with _stack(data_dir, PORT=killed.env["PORT"]) as last:
            assert find_leftovers(run) == []
            assert last.ready()
            run = last.run
            os.killpg(last.pid, signal.SIGINT)  # a terminal's Ctrl-C goes to the whole group
            assert last.wait_for_exit() == 0
            assert find_leftovers(run) == []

    refused = _refused(Stack(data_dir, ENCRYPTION_KEYS=SECRETS["ENCRYPTION_KEYS"]))
    assert refused.returncode == 2
    assert "ENCRYPTION_KEYS" in refused.stderr + refused.stdout
    assert "Traceback" not in refused.stderr + refused.stdout


def test_urls_move_it_to_real_servers(
    data_dir: Path, postgres: PostgresServer, redis: RedisServer
) -> None:
    urls = {
        "DATABASE_URL": postgres.url(postgres.create_database()),
        "REDIS_URL": redis.url,
    }
    with _stack(data_dir, MAKE_UP, **urls) as stack:
        assert stack.ready()
        assert stack.child("redis-server") is None
        assert not (data_dir / "switchyard.db").exists()
        run = stack.run
        stack.send(signal.SIGTERM)  # to make alone, which passes it on
        stack.wait_for_exit()
        wait_until(lambda: find_leftovers(run) == [], "no process left")


def test_down_without_up_says_so(data_dir: Path) -> None:
    assert _down(Stack(data_dir)) == f"Nothing runs on {data_dir}.\n"


def test_stop_while_starting_leaves_nothing_but_the_password(data_dir: Path) -> None:
    password = data_dir / "admin-password"
    with _starting(data_dir) as stack:
        run = stack.run
        told = "Ctrl-C stops it"
        stack.wait_until(lambda: password.exists() or told in stack.output(), "it is set up", LONG)
        stack.send(signal.SIGTERM)
        assert stack.wait_for_exit() == 0
        assert find_leftovers(run) == []
        # The next start tells it, or nobody would ever get in.
        assert told in stack.output() or len(password.read_text()) >= 12


def test_down_ends_what_a_killed_run_has_left(data_dir: Path) -> None:
    with _starting(data_dir) as stack:
        run = stack.run
        stack.send(signal.SIGKILL)
        stack.wait_for_exit()
        assert find_leftovers(run) != []
        assert "that a killed run had left" in _down(stack)
        assert find_leftovers(run) == []


@contextmanager
def _starting(data_dir: Path) -> Iterator[Stack]:
    """A stack that has come as far as its Redis."""
    stack = Stack(data_dir)
    ManagedProcess.start(stack)
    try:
        redis = data_dir / "redis" / "redis.sock"
        stack.wait_until(redis.exists, "Redis is up")
        yield stack
    finally:
        stack.stop()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"PORT": "eighty"}, "PORT: 'eighty'"),
        ({"DATABASE_URL": "mysql://somewhere"}, "DATABASE_URL"),
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, "REDIS_URL: no Redis answers at 127.0.0.1:1"),
        ({"ADMIN_TOKEN": "short"}, "ADMIN_TOKEN: its value (not shown)"),
    ],
)
def test_wrong_setting_is_named_with_its_fix(
    data_dir: Path, settings: dict[str, str], named: str
) -> None:
    refused = _refused(Stack(data_dir, UP, **settings))
    assert refused.returncode == 2
    assert named in refused.stderr
    assert "Traceback" not in refused.stderr + refused.stdout


def test_taken_port_is_named_with_its_fix(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = _refused(Stack(data_dir, PORT=str(port)))
    assert refused.returncode == 2
    assert f"make up PORT={port + 1}" in refused.stderr
