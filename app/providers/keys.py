"""What holds an API key: a provider, or a step of an agent's chain with a key of its own."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.changes.tracker import secret
from app.core import crypto
from app.core.crypto import Secret

KEY_UNREADABLE = "Its key cannot be read any more: the key must be entered again."


@dataclass(frozen=True)
class EffectiveKey:
    """The key a call is made with, opened only where it is used or revealed."""

    key_id: str
    """Another one for another key, and for another origin that the key is to go to."""
    open: Callable[[], Secret | None]
    """Raises KeyUnreadable."""


def environment_key(provider_type: str) -> EffectiveKey | None:
    """The server's own key for a type, from ``<TYPE>_API_KEY``."""
    variable = re.sub(r"[^A-Z0-9]", "_", provider_type.upper()) + "_API_KEY"
    value = os.environ.get(variable)
    if not value:
        return None
    return EffectiveKey(crypto.keyring().fingerprint(value), lambda: Secret(value))


@dataclass(frozen=True)
class EnvironmentKey:
    """The server's own key for a type, not looked up yet: it may be kept where no key may."""

    provider_type: str

    def find(self) -> EffectiveKey | None:
        """The key as the environment has it now."""
        return environment_key(self.provider_type)


class HoldsKey:
    """An encrypted, write-only API key, bound to the row's key id and the origin it goes to."""

    entity: ClassVar[str]

    api_key_sealed: Mapped[str | None] = mapped_column(sa.Text, default=None)
    api_key_id: Mapped[str | None] = secret(
        sa.String(32), unique=True, shown_as="api_key", default=None
    )
    """Random, fresh with every key: tells holders of a key whether it is still the one."""

    _unsealed: Secret | None = None

    @property
    def key_origin_url(self) -> str:
        """The URL whose origin the key is for."""
        raise NotImplementedError

    @property
    def api_key_set(self) -> bool:
        """Whether a key is stored."""
        return self.api_key_id is not None

    def set_api_key(self, key: Secret | None) -> None:
        """Store another key, or none. It is sealed when the row is written."""
        self._unsealed = key
        self.api_key_id = crypto.new_key_id() if key else None
        self.api_key_sealed = None

    def open_api_key(self) -> Secret | None:
        """The key in clear, for whoever may have it. Raises KeyUnreadable."""
        if self._unsealed is not None:
            return self._unsealed
        return self.sealed_key.open() if self.sealed_key else None

    @property
    def sealed_key(self) -> EffectiveKey | None:
        """The stored key apart from its row: ciphertext, and what it takes to open it."""
        if self.api_key_id is None or self.api_key_sealed is None:
            return None
        origin = crypto.origin_of(self.key_origin_url)
        opened = partial(
            crypto.open_key,
            self.api_key_sealed,
            entity=self.entity,
            key_id=self.api_key_id,
            origin=origin,
        )
        # Clients keep a key for as long as its id: where a provider moves, they have to let go of
        # the key that a step has of its own, or would send it to the new origin.
        return EffectiveKey(crypto.key_id_at(self.api_key_id, origin), opened)

    def before_save(self) -> None:
        """Seal a key that was just set, for the origin that the row has by now."""
        if self._unsealed is not None and self.api_key_id is not None:
            self.api_key_sealed = crypto.seal_key(
                self._unsealed,
                entity=self.entity,
                key_id=self.api_key_id,
                origin=crypto.origin_of(self.key_origin_url),
            )
            self._unsealed = None
