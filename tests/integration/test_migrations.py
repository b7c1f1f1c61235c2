"""Migrations on both databases: up, down, up again; failures, and two at once."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import flask_migrate
import pytest
import sqlalchemy as sa
from flask import Flask

from app.agents import services as agents
from app.core.db import Base, commit, db
from app.webhooks import services as webhooks
from tests.conftest import close_app, make_app
from tests.support.processes import PYTHON, ROOT
from tests.support.servers import PostgresServer, server_env

MIGRATION = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = {revision!r}, {head!r}

def upgrade():
    op.create_table("made_{revision}", sa.Column("id", sa.Integer()))
    {statement}

def downgrade():
    pass
"""
REBUILD = 'with op.batch_alter_table("agents", recreate="always") as batch:\n        pass'


@pytest.fixture
def empty_url(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database with nothing in it."""
    if backend == "sqlite":
        yield f"sqlite:///{tmp_path}/new/switchyard.db"
        return
    postgres: PostgresServer = request.getfixturevalue("postgres")
    name = postgres.create_database()
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture
def empty_app(empty_url: str) -> Iterator[Flask]:
    app = make_app(empty_url, "redis://127.0.0.1:1")
    with app.app_context():
        yield app
    close_app(app)


@pytest.fixture
def next_migration(tmp_path: Path) -> Callable[[str], str]:
    """``next_migration(statement)``: a folder of migrations with one more that runs it."""
    folder = tmp_path / "migrations"
    # Compiled files come and go while others load the same.
    shutil.copytree(ROOT / "migrations", folder, ignore=shutil.ignore_patterns("__pycache__"))

    def write(statement: str) -> str:
        head = _head(folder)
        revision = f"{int(head) + 1:04}"
        text = MIGRATION.format(revision=revision, head=head, statement=statement)
        (folder / "versions" / f"{revision}_next.py").write_text(text)
        return str(folder)

    return write


def test_up_down_and_up_again(empty_app: Flask) -> None:
    flask_migrate.upgrade()
    assert _tables() == set(Base.metadata.tables) | {"alembic_version"}
    assert _state() == 0
    flask_migrate.downgrade(revision="base")
    assert _tables() == {"alembic_version"}
    flask_migrate.upgrade()
    assert _tables() == set(Base.metadata.tables) | {"alembic_version"}
    assert _state() == 0


def test_a_webhook_that_loses_its_seal_is_switched_off(app: Flask) -> None:
    with app.app_context():
        for name, url in (("keyed", "https://a.example/b?key=c"), ("plain", "https://a.example/b")):
            webhooks.create_webhook({"name": name, "url": url})
        webhooks.add_webhook({"name": "imported", "url": "https://a.example/..."})
        commit()
        flask_migrate.downgrade(revision="0011")
        query = sa.text("SELECT name, url, is_active FROM webhooks ORDER BY id")
        with db.engine.connect() as connection:
            kept = [tuple(row) for row in connection.execute(query)]
        assert [(name, url, bool(on)) for name, url, on in kept] == [
            ("keyed", "https://a.example/b?...", False),
            ("plain", "https://a.example/b", True),
            ("imported", "https://a.example/...", False),
        ]
        flask_migrate.upgrade()
        found = db.session.scalars(webhooks.list_query({}))
        assert {it.name: it.needs_url for it in found} == {
            "keyed": True,
            "plain": False,
            "imported": True,
        }


def test_the_models_and_the_migrations_agree(empty_app: Flask) -> None:
    flask_migrate.upgrade()
    result = empty_app.test_cli_runner().invoke(args=["db", "check"])
    assert result.exit_code == 0, result.output


def test_every_constraint_of_the_models_is_in_the_database(empty_app: Flask) -> None:
    """What autogenerate does not compare: checks."""
    flask_migrate.upgrade()
    inspector = sa.inspect(db.engine)
    for table in Base.metadata.sorted_tables:
        modelled = {str(c.name) for c in table.constraints if isinstance(c, sa.CheckConstraint)}
        stored = {check["name"] for check in inspector.get_check_constraints(table.name)}
        assert modelled == stored, table.name


def test_each_database_has_an_epoch_of_its_own(empty_app: Flask) -> None:
    epochs = set()
    for _ in range(2):
        flask_migrate.upgrade()
        with db.engine.connect() as connection:
            epochs.add(connection.scalar(sa.text("SELECT epoch FROM config_state")))
        flask_migrate.downgrade(revision="base")
    assert len(epochs) == 2


@pytest.mark.parametrize("statement", ['raise RuntimeError("no")', 'op.execute("NONSENSE")'])
def test_a_failing_migration_leaves_everything_as_it_was(
    app: Flask, next_migration: Callable[[str], str], statement: str
) -> None:
    with app.app_context():
        agents.create_agent({"name": "Kept", "llm_provider": "ollama", "llm_model": "m-1"})
        before = _content()
        assert not _upgrades(app, next_migration(statement))
        assert _content() == before
        agents.create_agent({"name": "Works on"})


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_rebuilt_table_keeps_its_children(
    app: Flask, next_migration: Callable[[str], str], tmp_path: Path
) -> None:
    with app.app_context():
        agents.create_agent({"name": "Kept", "llm_provider": "ollama", "llm_model": "m-1"})
        before = _content()
        flask_migrate.upgrade(directory=next_migration(REBUILD))
        after = _content()
        before["alembic_version"] = [(_head(tmp_path / "migrations"),)]
        assert {name: after[name] for name in before} == before


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_migration_that_breaks_a_reference_is_refused(
    app: Flask, next_migration: Callable[[str], str]
) -> None:
    with app.app_context():
        agents.create_agent({"name": "Kept", "llm_provider": "ollama", "llm_model": "m-1"})
        before = _content()
        assert not _upgrades(app, next_migration('op.execute("DELETE FROM agents")'))
        assert _content() == before


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_large_file_is_not_copied_where_there_is_nothing_to_do(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.copyfile", None)
    with app.app_context():
        flask_migrate.upgrade()
        flask_migrate.current()


@pytest.mark.parametrize("backend", ["sqlite"])
def test_half_a_copy_does_not_stay_on_a_full_disk(
    app: Flask, next_migration: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = []

    def fill(_file: Path, copy: Path) -> None:
        copies.append(copy)
        copy.write_bytes(b"half")
        raise OSError("No space left on device")

    directory = next_migration("pass")
    monkeypatch.setattr("shutil.copy", fill)
    with app.app_context():
        assert not _upgrades(app, directory)
    assert [copy.exists() for copy in copies] == [False]


@pytest.mark.parametrize("backend", ["sqlite"])
def test_nobody_else_migrates_the_file_meanwhile(
    app: Flask, next_migration: Callable[[str], str]
) -> None:
    """PostgreSQL has a lock for this; a SQLite file that is put back on failure needs one too."""
    try_to = "\n    ".join(
        (
            "import fcntl",
            "with open(op.get_bind().engine.url.database + '.migration-lock', 'w') as lock:",
            "    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        )
    )
    with app.app_context():
        result = app.test_cli_runner().invoke(args=["db", "upgrade", "-d", next_migration(try_to)])
        assert isinstance(result.exception, BlockingIOError)


@pytest.mark.timeout(300)
def test_two_at_once_wait_for_each_other(
    empty_url: str, tmp_path: Path, next_migration: Callable[[str], str]
) -> None:
    environment = server_env(tmp_path, DATABASE_URL=empty_url, REDIS_URL="redis://127.0.0.1:1")
    folders = [next_migration("__import__('time').sleep(0.03)") for _ in range(4)]
    command = [PYTHON, "-m", "flask", "db", "upgrade", "-d", folders[-1]]
    starts: list[subprocess.Popen[str]] = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for _ in range(2)
    ]
    ends = [(start.communicate(timeout=240)[0], start.returncode) for start in starts]
    assert [code for _, code in ends] == [0, 0], ends
    app = make_app(empty_url, "redis://127.0.0.1:1")
    with app.app_context():
        assert _state() == 0
        made = {name for name in _tables() if name.startswith("made_")}
        assert len(made) == 4
        assert _tables() == set(Base.metadata.tables) | {"alembic_version"} | made
    close_app(app)


def _upgrades(app: Flask, folder: str) -> bool:
    result = app.test_cli_runner().invoke(args=["db", "upgrade", "-d", folder])
    return result.exit_code == 0


def _head(folder: Path) -> str:
    newest = sorted((folder / "versions").glob("[0-9]*.py"))[-1]
    return newest.name.partition("_")[0]


def _tables() -> set[str]:
    return set(sa.inspect(db.engine).get_table_names())


def _state() -> int:
    with db.engine.connect() as connection:
        rev: int = connection.scalar(sa.text("SELECT rev FROM config_state"))
        return rev


def _content() -> dict[str, list[Any]]:
    """Every row of every table."""
    db.session.rollback()
    with closing(db.engine.connect()) as connection:
        return {
            name: sorted(
                tuple(map(str, row)) for row in connection.execute(sa.text(f"SELECT * FROM {name}"))
            )
            for name in sorted(sa.inspect(connection).get_table_names())
        }
