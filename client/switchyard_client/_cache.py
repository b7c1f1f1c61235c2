"""What the client knows, and the one function that changes it.

A read is one lookup in `fresh`, a dict that is never changed once published: writers build the
next one and swap it in. Whether values are still confirmed is decided when they are published,
by whoever watches the clock, so that a hit compares no times.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from ._messages import Batch, Item
from ._models import AgentConfig, LLMStep
from ._secret import Secret

Change = tuple[str, AgentConfig]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything the server said, at one rev."""

    epoch: str | None = None
    rev: int = 0
    entries: dict[str, AgentConfig] = field(default_factory=dict)
    roster: frozenset[str] = frozenset()
    """The agents the server has. An entry outside it is a guest served by a default."""


class KeyMissing(Exception):
    """A new key is in use that only the server can tell."""


class Cache:
    """Published snapshot, stand-ins for agents it lacks, and the diff that listeners get.

    `on_changes` is called under the lock, so that changes keep their order: it may only queue.
    """

    def __init__(self, on_changes: Callable[[list[Change]], None]) -> None:
        self.fresh: dict[str, AgentConfig] = {}
        self.snapshot = Snapshot()
        self._confirmed = False
        self._stand_ins: dict[str, AgentConfig] = {}
        self._gone: dict[str, AgentConfig] = {}
        self._on_changes = on_changes
        self._lock = threading.Lock()

    def find(self, agent_id: str) -> AgentConfig | None:
        """The server's last word on an agent, confirmed or not."""
        return self.snapshot.entries.get(agent_id)

    def stand_in(self, agent_id: str) -> AgentConfig | None:
        """What was handed out in place of the server's word."""
        return self._stand_ins.get(agent_id)

    def latest(self, agent_id: str) -> AgentConfig | None:
        """What a read would answer, without asking anybody."""
        return self.find(agent_id) or self.stand_in(agent_id)

    def apply(self, batch: Batch) -> bool:
        """Apply a batch whole; False (and nothing done) if a key in it is unknown here."""
        with self._lock:
            old = self.snapshot
            try:
                new = next_snapshot(old, batch)
            except KeyMissing:
                return False
            baseline = old.epoch is not None
            touched = [item.agent_id for item in batch.items]
            changes = [c for c in self._diff(touched, new) if baseline or self._seen(c[0])]
            self._remember_gone(old, new)
            self._publish(new, changes)
            return True

    def store(self, config: AgentConfig, epoch: str) -> bool:
        """Take one A8 answer; False if it is older than, or foreign to, what is known."""
        agent_id = config.requested_agent_id
        with self._lock:
            old = self.snapshot
            if old.epoch not in (None, epoch):
                return False
            if config.rev < _known_rev(old, agent_id):
                return False
            new = replace(old, entries={**old.entries, agent_id: config})
            self._publish(new, [c for c in self._diff([agent_id], new) if self._seen(agent_id)])
            return True

    def drop(self, agent_id: str) -> None:
        """The server answers for this guest no longer: its old value must not stay in use."""
        with self._lock:
            old = self.snapshot
            if agent_id in old.entries and agent_id not in old.roster:
                entries = {i: c for i, c in old.entries.items() if i != agent_id}
                new = replace(old, entries=entries)
                self._remember_gone(old, new)
                self._publish(new, [])

    def put_stand_in(self, agent_id: str, config: AgentConfig) -> AgentConfig:
        """Keep what a read used instead, so that listeners hear of the difference later."""
        with self._lock:
            known = self.snapshot.entries.get(agent_id)
            if known is not None:  # the answer came in between
                return known
            before = self._stand_ins.get(agent_id) or self._gone.pop(agent_id, None)
            self._stand_ins[agent_id] = config
            if before is not None and before != config:
                self._on_changes([(agent_id, config)])
            return config

    def unlisted(self) -> set[str]:
        """Ids a batch said nothing about although it may concern them: their default changed."""
        with self._lock:
            snapshot = self.snapshot
            guests = snapshot.entries.keys() - snapshot.roster
            older = {i for i in guests if snapshot.entries[i].rev < snapshot.rev}
            return older | self._stand_ins.keys() | self._gone.keys()

    def confirm(self) -> None:
        """The server stands behind every entry."""
        with self._lock:
            self._confirmed = True
            self.fresh = self.snapshot.entries

    def expire(self) -> None:
        """Entries stay, but reads shall take the slow path and ask again."""
        with self._lock:
            self._confirmed = False
            self.fresh = {}

    def after_fork(self) -> None:
        """In the child: the values are good, the lock may be held by a thread that is not here."""
        self._lock = threading.Lock()
        self._confirmed = False
        self.fresh = {}

    def _seen(self, agent_id: str) -> bool:
        """Somebody may have used an earlier value. Nobody hears of a first one."""
        return (
            agent_id in self.snapshot.entries
            or agent_id in self._stand_ins
            or agent_id in self._gone
        )

    def _diff(self, agent_ids: Iterable[str], new: Snapshot) -> list[Change]:
        changes = []
        for agent_id in agent_ids:
            config = new.entries.get(agent_id)
            before = self.snapshot.entries.get(agent_id) or self._stand_ins.get(agent_id)
            if config is not None and config != (before or self._gone.get(agent_id)):
                changes.append((agent_id, config))
        return changes

    def _remember_gone(self, old: Snapshot, new: Snapshot) -> None:
        """Keep what vanished until its substitute is known, or listeners would not hear of it."""
        for agent_id in old.entries.keys() - new.entries.keys():
            self._gone[agent_id] = old.entries[agent_id]

    def _publish(self, new: Snapshot, changes: list[Change]) -> None:
        for superseded in (self._stand_ins, self._gone):
            for agent_id in superseded.keys() & new.entries.keys():
                del superseded[agent_id]
        self.snapshot = new
        if self._confirmed:
            self.fresh = new.entries
        if changes:
            self._on_changes(changes)


def next_snapshot(old: Snapshot, batch: Batch) -> Snapshot:
    """The snapshot after a batch. Raises KeyMissing rather than mixing old and new."""
    configs = {item.agent_id: _with_keys(item, old, batch) for item in batch.items}
    listed = {item.agent_id for item in batch.items if not item.deleted and item.config}
    if batch.full:
        entries = _guests(old, batch)
        roster = frozenset(listed)
    else:
        deleted = {item.agent_id for item in batch.items} - listed
        roster = (old.roster | listed) - deleted
        entries = dict(old.entries)
    for agent_id, config in configs.items():
        if config is None:
            entries.pop(agent_id, None)
        else:
            entries[agent_id] = config
    return Snapshot(batch.epoch, batch.rev, entries, roster)


def _known_rev(snapshot: Snapshot, agent_id: str) -> int:
    """Up to which rev all that concerns an agent is known; an older answer was on its way then.

    No batch names a guest when its default changes, and a deleted agent has left only its
    absence: for both the whole snapshot's rev counts.
    """
    entry = snapshot.entries.get(agent_id)
    known = entry.rev if entry else 0
    return known if agent_id in snapshot.roster else max(known, snapshot.rev)


def _guests(old: Snapshot, batch: Batch) -> dict[str, AgentConfig]:
    """Entries a full batch cannot name. In another history their revs mean nothing."""
    guests = {i: c for i, c in old.entries.items() if i not in old.roster}
    if batch.epoch == old.epoch and batch.rev >= old.rev:
        return guests
    return {agent_id: replace(config, rev=0) for agent_id, config in guests.items()}


def _with_keys(item: Item, old: Snapshot, batch: Batch) -> AgentConfig | None:
    config, before = item.config, old.entries.get(item.agent_id)
    if config is None:
        return None
    overtaken = batch.epoch == old.epoch and batch.rev >= old.rev
    if before is not None and overtaken and before.rev > batch.rev:
        return before  # a direct read was quicker than this batch
    return config if batch.has_keys else _keep_keys(config, before)


def _keep_keys(config: AgentConfig, before: AgentConfig | None) -> AgentConfig:
    """Fill in the keys held for the same key ids: keys never travel on the socket."""
    held = {step.api_key_id: step for step in before.steps} if before else {}
    if all(step.api_key_id is None for step in config.steps):
        return config
    fallbacks = tuple(_keep_key(step, held) for step in config.fallbacks)
    return replace(config, api_key=_held_key(config, held), fallbacks=fallbacks)


def _keep_key(step: LLMStep, held: Mapping[str | None, LLMStep]) -> LLMStep:
    return replace(step, api_key=_held_key(step, held))


def _held_key(step: LLMStep, held: Mapping[str | None, LLMStep]) -> Secret | None:
    if step.api_key_id is None:
        return None
    if step.api_key_id not in held:
        raise KeyMissing
    return held[step.api_key_id].api_key
