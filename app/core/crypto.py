"""The one place for secrets: the masking type, the keyring, sealing and opening.

A sealed secret is a Fernet token over ``{entity, key_id, origin, secret}``: taken to another row,
or opened for another origin than it was entered for, it does not open. Each purpose has its own
keys, derived from ENCRYPTION_KEYS, so that one purpose's ciphertext means nothing to another.
"""

import base64
import hashlib
import hmac
import json
import secrets
import uuid
from collections.abc import Iterable
from typing import Any, NoReturn
from urllib.parse import urlsplit

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flask import Flask, current_app

from app.settings import SettingsError

MASK = "**********"


class Secret:
    """A secret that does not show itself in a repr, a log, a traceback or a pickle."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def get_secret_value(self) -> str:
        """The secret itself."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret('{MASK}')"

    def __str__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(
            self._value.encode(), other._value.encode()
        )

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")


class KeyUnreadable(Exception):
    """A sealed secret does not open here: it must be entered again. A state, not an error."""


class Keyring:
    """ENCRYPTION_KEYS in use: the first seals, all open."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = list(keys)
        if not self._keys:
            raise SettingsError(
                "ENCRYPTION_KEYS: not set. `make up` makes one; by hand: "
                'python -c "from cryptography.fernet import Fernet; '
                'print(Fernet.generate_key().decode())"'
            )
        for number, key in enumerate(self._keys, 1):
            try:
                Fernet(key)
            except ValueError:
                raise SettingsError(
                    f"ENCRYPTION_KEYS: key {number} is not a Fernet key "
                    "(32 bytes as URL-safe base64, 44 characters)."
                ) from None
        self._derived: dict[str, MultiFernet] = {}

    def __repr__(self) -> str:
        return f"<Keyring of {len(self._keys)}>"

    def seal(self, purpose: str, payload: dict[str, Any]) -> str:
        """Encrypt ``payload`` under the first key's share for ``purpose``."""
        return self._for(purpose).encrypt(json.dumps(payload).encode()).decode()

    def open(self, purpose: str, sealed: str) -> dict[str, Any]:
        """Decrypt under any key. Raises KeyUnreadable."""
        try:
            payload: dict[str, Any] = json.loads(self._for(purpose).decrypt(sealed.encode()))
        except InvalidToken:
            raise KeyUnreadable("no key of ENCRYPTION_KEYS opens it") from None
        return payload

    def rotate(self, purpose: str, sealed: str) -> str:
        """The same secret under the first key. Raises KeyUnreadable."""
        try:
            return self._for(purpose).rotate(sealed.encode()).decode()
        except InvalidToken:
            raise KeyUnreadable("no key of ENCRYPTION_KEYS opens it") from None

    def is_current(self, purpose: str, sealed: str) -> bool:
        """Whether the first key sealed it."""
        try:
            self._fernet(self._keys[0], purpose).decrypt(sealed.encode())
        except InvalidToken:
            return False
        return True

    def fingerprint(self, text: str) -> str:
        """A stable id of a secret that is not stored here; says nothing to who lacks the keys."""
        share = _derive(self._keys[0], "fingerprint")
        return hmac.new(share, text.encode(), hashlib.sha256).hexdigest()[:32]

    def _for(self, purpose: str) -> MultiFernet:
        if purpose not in self._derived:
            self._derived[purpose] = MultiFernet([self._fernet(k, purpose) for k in self._keys])
        return self._derived[purpose]

    @staticmethod
    def _fernet(key: str, purpose: str) -> Fernet:
        return Fernet(base64.urlsafe_b64encode(_derive(key, purpose)))


def _derive(key: str, purpose: str) -> bytes:
    derive = HKDF(SHA256(), length=32, salt=None, info=f"switchyard:{purpose}".encode())
    return derive.derive(base64.urlsafe_b64decode(key))


def init_app(app: Flask) -> None:
    """Give the app its keyring. Raises SettingsError on a missing or malformed key."""
    app.extensions["keyring"] = Keyring(app.config["ENCRYPTION_KEYS"])


def keyring() -> Keyring:
    """The app's keyring."""
    ring: Keyring = current_app.extensions["keyring"]
    return ring


def new_key_id() -> str:
    """A fresh random id for a fresh key: says nothing about the key, changes with it."""
    return uuid.uuid4().hex


def key_id_at(key_id: str, origin: str) -> str:
    """The id that holders of a key know it by: another one wherever else it is to be sent."""
    return hashlib.sha256(f"{key_id} {origin}".encode()).hexdigest()[:32]


def seal_key(secret: Secret, *, entity: str, key_id: str, origin: str) -> str:
    """Seal an API key for one row (through its key id) and one origin."""
    payload = {"entity": entity, "key_id": key_id, "origin": origin}
    return keyring().seal(entity, payload | {"secret": secret.get_secret_value()})


def open_key(sealed: str, *, entity: str, key_id: str, origin: str) -> Secret:
    """Open an API key where it belongs. Raises KeyUnreadable anywhere else."""
    payload = keyring().open(entity, sealed)
    if (payload["entity"], payload["key_id"]) != (entity, key_id):
        raise KeyUnreadable("it was sealed for another row")
    if payload["origin"] != origin:
        raise KeyUnreadable("it was entered for another origin")
    return Secret(payload["secret"])


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL, the default port filled in: where a key may go."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443, "ws": 80, "wss": 443}.get(parts.scheme)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


def new_token() -> str:
    """A fresh API token: 256 random bits, recognisable in a leak scan by its prefix."""
    return "sy_" + secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """What is stored of a token. It is random and long, so a plain hash cannot be guessed back."""
    return hashlib.sha256(token.encode()).hexdigest()
