"""The secrets of an installation: made once, kept in DATA_DIR/secrets.env, never overwritten."""

import base64
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from app.settings import SECRETS_FILE, read_secrets
from scripts.stack.data_folder import write_private
from scripts.stack.errors import StartError

_HEADER = """\
# Made once by `make up`. Keep a copy in a safe place: without ENCRYPTION_KEYS the provider
# keys in the database cannot be read again. A variable of the environment goes first.
"""


def ensure_secrets(data_dir: Path, database: Path | None, environ: Mapping[str, str]) -> None:
    """See to it that secrets.env has whatever the environment does not bring.

    ``database`` is the embedded database's file, if it is the embedded one. Where it exists
    already the keys are lost, not new: StartError.
    """
    path = data_dir / SECRETS_FILE
    known = read_secrets(path) | {name: value for name, value in environ.items() if value}
    wanted = {name: make for name, make in _MAKERS.items() if not _given(name, known)}
    is_used = database is not None and database.exists()
    if "ENCRYPTION_KEYS" in wanted and is_used:
        raise StartError(
            f"ENCRYPTION_KEYS: {database} exists, but its keys are not in {path}. Restore that "
            "file from your backup, or set ENCRYPTION_KEYS. (New keys could not read the old data.)"
        )
    is_there = path.exists()
    if wanted and not (is_there and (database is None or is_used)):
        lines = [f"{name}={make()}\n" for name, make in wanted.items()]
        before = path.read_text().rstrip() + "\n" if is_there else _HEADER
        write_private(path, before + "".join(lines))


def _given(name: str, known: Mapping[str, str]) -> bool:
    singular = "ENCRYPTION_KEY" if name == "ENCRYPTION_KEYS" else name
    return bool(known.get(name) or known.get(singular))


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


_MAKERS: dict[str, Callable[[], str]] = {
    "ENCRYPTION_KEYS": _fernet_key,
    "SECRET_KEY": lambda: secrets.token_urlsafe(48),
    "SECURITY_PASSWORD_SALT": lambda: secrets.token_urlsafe(32),
}
