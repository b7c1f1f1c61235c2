"""Last known good on disk: what a process starts with while the server is away.

One file: a JSON header in clear and a body encrypted under a key derived from the token, so that
a copied file is worth nothing without it, and a damaged or foreign one is simply not read.
"""

import base64
import contextlib
import json
import os
import secrets
import tempfile
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ._arguments import checked_file
from ._cache import Snapshot
from ._log import logger
from ._messages import parse_json
from ._models import AgentConfig
from ._wire import Malformed, decode_config, encode_config, require_object, text

FORMAT = 1


class DiskSnapshot:
    """Writes the server's word to one file, reads it back under this or the previous token."""

    def __init__(self, path: Path, token: str, previous_token: str | None = None) -> None:
        self.path = path
        self._tokens = [t for t in (token, previous_token) if t]

    def load(self) -> dict[str, AgentConfig]:
        """The stored configs by agent; empty, with a warning, if the file cannot be used."""
        try:
            header = require_object(parse_json(self.path.read_bytes()), "snapshot")
            body = parse_json(self._open(text(header, "salt"), text(header, "body")))
            agents = require_object(body.get("agents"), "agents")
            return {i: decode_config(data, requested=i) for i, data in agents.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError) as error:  # Malformed is a ValueError
            logger.warning("snapshot %s is ignored: %s", self.path, error)
            return {}

    def save(self, snapshot: Snapshot) -> None:
        """Replace the file. A full disk or a missing folder is logged, never raised."""
        agents = {i: encode_config(config) for i, config in snapshot.entries.items()}
        body = json.dumps({"epoch": snapshot.epoch, "rev": snapshot.rev, "agents": agents})
        salt = secrets.token_hex(16)
        sealed = _fernet(self._tokens[0], salt).encrypt(body.encode()).decode()
        try:
            write_private(
                self.path, json.dumps({"format": FORMAT, "salt": salt, "body": sealed}).encode()
            )
        except OSError as error:
            logger.warning("snapshot %s could not be written: %s", self.path, error)

    def client_id(self) -> str:
        """An id that survives restarts, kept in a file beside the snapshot."""
        path = self.path.with_name(self.path.name + ".client-id")
        with contextlib.suppress(OSError, ValueError):
            kept = path.read_text("ascii").strip()
            if kept and len(kept) <= 64 and kept.isprintable():
                return kept
        fresh = secrets.token_hex(16)
        with contextlib.suppress(OSError):  # a read-only folder: a new id each start
            write_private(path, fresh.encode())
        return fresh

    def _open(self, salt: str, sealed: str) -> bytes:
        for token in self._tokens:
            with contextlib.suppress(InvalidToken):
                return _fernet(token, salt).decrypt(sealed.encode())
        raise Malformed("damaged, or written under another token")


def disk_snapshot(path: str | Path | None, token: str | None) -> DiskSnapshot | None:
    """The snapshot that caller or environment ask for; None without one, or without a token.

    Raises ConfigurationError where the path can be no file's.
    """
    path = path or os.environ.get("SWITCHYARD_SNAPSHOT")
    if not path:
        return None
    if token is None:
        logger.warning("no snapshot is kept: its encryption needs a token")
        return None
    return DiskSnapshot(checked_file(path), token, os.environ.get("SWITCHYARD_PREVIOUS_TOKEN"))


def _fernet(token: str, salt: str) -> Fernet:
    # Tokens are long and random: a slow password hash would only slow the start.
    derived = HKDF(SHA256(), 32, salt.encode(), b"switchyard-client snapshot").derive(
        token.encode()
    )
    return Fernet(base64.urlsafe_b64encode(derived))


def write_private(path: Path, content: bytes) -> None:
    """Replace a file in one step, readable by its owner only, whole or not at all."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
