"""The secrets of an installation: made once, kept in DATA_DIR/secrets.env, never overwritten."""

import base64
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from app.settings import SECRETS_FILE
from scripts.stack.data_folder import write_private
from scripts.stack.errors import StartError

_HEADER = """\
# Made once by `make up`. Keep a copy in a safe place: without ENCRYPTION_KEYS the provider
# keys in the database cannot be read again. A variable of the environment goes first.
"""


def ensure_secrets(data_dir: Path, database: Path | None, environ: Mapping[str, str]) -> None:
    """Write secrets.env if it is not there, with whatever the environment does not bring.

    ``database`` is the embedded database's file, if it is the embedded one. Where it exists
    already the keys are lost, not new: StartError.
    """
    path = data_dir / SECRETS_FILE
    if path.exists():
        return
    wanted = {name: make for name, make in _MAKERS.items() if not _given(name, environ)}
    if "ENCRYPTION_KEYS" in wanted and database is not None and database.exists():
        raise StartError(
            f"ENCRYPTION_KEYS: {database} exists, but {path} with its keys is gone. Restore that "
            "file from your backup, or set ENCRYPTION_KEYS. (New keys could not read the old data.)"
        )
    lines = [f"{name}={make()}\n" for name, make in wanted.items()]
    write_private(path, _HEADER + "".join(lines))


def _given(name: str, environ: Mapping[str, str]) -> bool:
    singular = "ENCRYPTION_KEY" if name == "ENCRYPTION_KEYS" else name
    return bool(environ.get(name) or environ.get(singular))


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


_MAKERS: dict[str, Callable[[], str]] = {
    "ENCRYPTION_KEYS": _fernet_key,
    "SECRET_KEY": lambda: secrets.token_urlsafe(48),
    "SECURITY_PASSWORD_SALT": lambda: secrets.token_urlsafe(32),
}
