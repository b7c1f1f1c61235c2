"""Databases that outlive one test: for servers that many tests share."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def shared_database(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """The URL of a migrated and set-up one; ``request.param`` says of which kind."""
    if request.param == "sqlite":
        shutil.copyfile(request.getfixturevalue("sqlite_template"), folder / "switchyard.db")
        yield f"sqlite:///{folder}/switchyard.db"
        return
    databases = request.getfixturevalue("postgres_databases")
    name = databases.lease()
    yield request.getfixturevalue("postgres").url(name)
    databases.give_back(name)
