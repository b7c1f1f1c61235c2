"""Signatures of the Standard Webhooks convention (symmetric, ``v1``). Pure.

What is signed is ``id.timestamp.body``: neither can be exchanged, and a receiver that refuses old
timestamps cannot be made to take a recorded message again.
"""

import base64
import hashlib
import hmac
import secrets

PREFIX = "whsec_"
NEW_BYTES = 32
MIN_BYTES, MAX_BYTES = 16, 256


def new_secret() -> str:
    """A fresh random secret, recognisable in a leak scan by its prefix."""
    return PREFIX + base64.b64encode(secrets.token_bytes(NEW_BYTES)).decode()


def check_secret(secret: str) -> str | None:
    """What is wrong with a secret that somebody brings along, or None."""
    try:
        size = len(_key(secret))
    except ValueError:
        return f"What follows {PREFIX} must be base64; without that prefix any text will do."
    if not MIN_BYTES <= size <= MAX_BYTES:
        return f"It must be from {MIN_BYTES} to {MAX_BYTES} bytes long, and is {size}."
    return None


def sign_headers(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers that a message travels with; ``timestamp`` is in seconds since 1970."""
    content = b".".join((message_id.encode(), str(timestamp).encode(), body))
    digest = hmac.new(_key(secret), content, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


def _key(secret: str) -> bytes:
    """The convention's secrets are base64; any other text is the key as it stands."""
    if secret.startswith(PREFIX):
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    return secret.encode()
