"""Keys are made once and never silently replaced."""

import stat
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from scripts.stack.errors import StartError
from scripts.stack.keys import ensure_secrets


def _read(data_dir: Path) -> dict[str, str]:
    lines = (data_dir / "secrets.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def test_all_secrets_are_made_private_and_usable(tmp_path: Path) -> None:
    ensure_secrets(tmp_path, None, {})
    values = _read(tmp_path)
    assert set(values) == {"ENCRYPTION_KEYS", "SECRET_KEY", "SECURITY_PASSWORD_SALT"}
    assert Fernet(values["ENCRYPTION_KEYS"]).encrypt(b"x")
    assert min(map(len, values.values())) >= 32
    assert stat.S_IMODE((tmp_path / "secrets.env").stat().st_mode) == 0o600


def test_secrets_differ_between_installations(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        ensure_secrets(tmp_path / name, None, {})
    assert not set(_read(tmp_path / "a").values()) & set(_read(tmp_path / "b").values())


def test_existing_file_is_completed_until_a_database_depends_on_it(tmp_path: Path) -> None:
    """A first start with a variable that would not do leaves a file without it."""
    database = tmp_path / "switchyard.db"
    (tmp_path / "secrets.env").write_text("# mine\nSECRET_KEY=mine")
    ensure_secrets(tmp_path, database, {})
    values = _read(tmp_path)
    assert values["SECRET_KEY"] == "mine"
    assert set(values) == {"ENCRYPTION_KEYS", "SECRET_KEY", "SECURITY_PASSWORD_SALT"}
    ensure_secrets(tmp_path, database, {})
    assert _read(tmp_path) == values


@pytest.mark.parametrize("embedded", [True, False])
def test_file_that_a_database_depends_on_is_left_alone(tmp_path: Path, embedded: bool) -> None:
    """A new salt would void every password."""
    database = tmp_path / "switchyard.db"
    database.touch()
    (tmp_path / "secrets.env").write_text("ENCRYPTION_KEYS=mine\n")
    ensure_secrets(tmp_path, database if embedded else None, {"ENCRYPTION_KEYS": ""})
    assert _read(tmp_path) == {"ENCRYPTION_KEYS": "mine"}


@pytest.mark.parametrize("name", ["ENCRYPTION_KEYS", "ENCRYPTION_KEY"])
def test_what_the_environment_brings_is_not_made(tmp_path: Path, name: str) -> None:
    ensure_secrets(tmp_path, None, {name: "given", "SECRET_KEY": "given"})
    assert set(_read(tmp_path)) == {"SECURITY_PASSWORD_SALT"}


def test_lost_keys_of_an_existing_database_are_not_replaced(tmp_path: Path) -> None:
    database = tmp_path / "switchyard.db"
    database.touch()
    with pytest.raises(StartError, match=r"ENCRYPTION_KEYS.*Restore"):
        ensure_secrets(tmp_path, database, {})
    assert not (tmp_path / "secrets.env").exists()
    (tmp_path / "secrets.env").write_text("SECRET_KEY=mine\n")  # they came from the environment
    with pytest.raises(StartError, match=r"ENCRYPTION_KEYS.*Restore"):
        ensure_secrets(tmp_path, database, {})
