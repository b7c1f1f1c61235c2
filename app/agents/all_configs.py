"""What every agent gets, for those who fetch everything: one after the other, and read once for all
who ask at the same time.

Ten thousand agents take seconds and hundreds of megabytes to read. Programs that start together ask
for them together, and again where no answer came: in every thread at once, none was ever done.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from flask import current_app

from app.agents.effective import resolve_agents
from app.agents.effective_cache import EffectiveConfig
from app.changes.services import State, read_state
from app.core.db import db, read_on
from app.core.errors import Unavailable

PATIENCE = 5.0  # seconds
RETRY_AFTER = 5
_EXTENSION = "switchyard_all_configs"


class Everything(NamedTuple):
    """All agents that get anything, by their slugs, as they are at one state."""

    state: State
    configs: dict[str, EffectiveConfig]


class AllConfigs:
    """Everything, as it was read last."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._last: Everything | None = None
        self._begun_at = 0.0

    @contextmanager
    def turn(self, state: State) -> Iterator[Everything]:
        """Everything at ``state``, or at a later one; whoever comes next waits for the block's end.

        The session's snapshot ends here: nobody waits inside one. Raises Unavailable.
        """
        asked_at = time.monotonic()
        db.session.rollback()
        read_on()
        if not self._turn.acquire(timeout=PATIENCE):
            raise Unavailable("Too many ask for everything at once.", RETRY_AFTER)
        try:
            yield self._get(state, asked_at)
        finally:
            self._turn.release()

    def _get(self, state: State, asked_at: float) -> Everything:
        last = self._last
        # Of another state, it is good enough if it was read after the question.
        if last is None or (last.state[:2] != state[:2] and self._begun_at < asked_at):
            begun_at = time.monotonic()
            last = self._last = _read()
            self._begun_at = begun_at
        return last


def all_configs() -> AllConfigs:
    """The app's."""
    found: AllConfigs = current_app.extensions.setdefault(_EXTENSION, AllConfigs())
    return found


def _read() -> Everything:
    state = read_state()
    resolved = resolve_agents().items()
    return Everything(state, {slug: EffectiveConfig.of(it, state) for slug, it in resolved if it})
