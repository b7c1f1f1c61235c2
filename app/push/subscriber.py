"""One open socket, as the hub sees it: who it is, what it is to hear, what it was last sent."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from app.core.clock import utcnow
from app.push.messages import Item
from app.push.outbox import Outbox

AGENTS, PROVIDERS, TASKS, ONE_AGENT = "agents", "providers", "tasks", "agent:"
TOPIC_OF = {"provider": PROVIDERS, "task": TASKS}
MAX_ITEMS = 50
"""More than this for one socket at once, and it is told to fetch everything instead."""


class Audience(NamedTuple):
    """What a socket hears of. Sockets with equal audiences are sent the same bytes."""

    topics: frozenset[str]
    agents: frozenset[str] | None
    """The slugs that a bound token is for; None = all."""
    user_id: int | None
    """Whose default agent answers for agents that are gone."""
    owned_only: bool
    """A viewer: hears of their own agents and of nobody's."""

    @property
    def hears_everyone(self) -> bool:
        """Whether any agent at all may concern it."""
        return AGENTS in self.topics and self.agents is None

    @property
    def named(self) -> set[str]:
        """The slugs it asks about by name."""
        bound = self.agents if AGENTS in self.topics and self.agents else ()
        return {t.removeprefix(ONE_AGENT) for t in self.topics if t.startswith(ONE_AGENT)} | {
            *bound
        }

    def select(self, items: Iterable[Item], own_defaults: Collection[int]) -> list[Item] | None:
        """What of these it is sent, or None where it has to fetch everything instead.

        ``own_defaults`` are the users with a default agent of their own.
        """
        chosen = []
        for item in items:
            if not self._hears(item):
                continue
            if self.owned_only and not self._may_see(item.owner_id):
                if self._may_see(item.former_owner_id):
                    return None  # taken away from this viewer: only to be absent says so
                continue
            if item.gone and self.user_id in own_defaults:
                return None  # another default steps in for this one than for everybody
            chosen.append(item)
        return chosen if len(chosen) <= MAX_ITEMS else None

    def _hears(self, item: Item) -> bool:
        if item.agent_id is None:
            return TOPIC_OF[item.type.kind] in self.topics
        if self.agents is not None and item.agent_id not in self.agents:
            return False
        if ONE_AGENT + item.agent_id in self.topics:
            return True
        # What no agent is called is another one's topic or binding, and none of all there are.
        return AGENTS in self.topics and (self.agents is not None or not item.never_was)

    def _may_see(self, owner_id: int | None) -> bool:
        return owner_id is None or owner_id == self.user_id


class Identity(NamedTuple):
    """Who opened a socket: a token or a person, and the rev that last changed their rights."""

    kind: str
    id: int
    changed_in: int


@dataclass(frozen=True, slots=True)
class Hello:
    """What a client says about itself, so that the server knows who runs which rev."""

    client_id: str | None = None
    sdk: str | None = None
    epoch: str | None = None
    since: int | None = None
    applied_rev: int | None = None


@dataclass(eq=False, slots=True)
class Subscriber:
    """An open socket. The hub's lock guards all of it."""

    outbox: Outbox
    identity: Identity
    audience: Audience
    admitted_at: int
    """The rev at which its rights were looked at."""
    sent_rev: int = 0
    hello: Hello | None = None
    connected_at: datetime = field(default_factory=utcnow)

    def offer(self, frame: bytes) -> None:
        """Send without waiting, under the hub's lock. A socket that is gone is noticed by its own
        thread."""
        try:  # suppress() would cost each of thousands half a microsecond more
            self.outbox.send_held(frame)
        except OSError:
            return
