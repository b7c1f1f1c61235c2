"""Making the configuration what a document says: all of it, in one transaction, or nothing.

What is reported is not what was planned but what came out: the difference between the export before
and the export after. A dry run does the same and takes it back.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from app.agents.services import lock_defaults
from app.core.db import commit, db, flush, lock
from app.core.errors import BadRequest, Conflict, Invalid, Stale
from app.transfer.document import Difference, Document, Item, check, diff, missing_keys
from app.transfer.export import export_document
from app.transfer.sections import SECTIONS, SHAPES, Section

MAX_BYTES = 16 * 2**20
Progress = Callable[..., Any]
"""``progress(items, label=...)``: what shows how far a loop is, as ``click.progressbar`` does."""


@dataclass(frozen=True)
class Report:
    """What an import did, or would do."""

    dry_run: bool
    diff: list[Difference]
    unchanged: int
    warnings: list[str]

    @property
    def digest(self) -> str:
        """The same for the same difference: who has seen it can insist on it."""
        text = json.dumps(self.diff, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def counts(self) -> dict[str, int]:
        """How many items were created, updated, deleted and left alone."""
        found = [difference.operation for difference in self.diff]
        changed = {f"{name}d": found.count(name) for name in ("create", "update", "delete")}
        return changed | {"unchanged": self.unchanged}

    def to_dict(self) -> dict[str, Any]:
        """The report as it is answered and printed."""
        return {
            "dry_run": self.dry_run,
            **self.counts(),
            "diff": [difference._asdict() for difference in self.diff],
            "warnings": self.warnings,
        }


def import_document(
    raw: Any,
    *,
    dry_run: bool = False,
    prune: bool = False,
    expected: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Apply a parsed document; ``prune`` deletes what its sections do not name.

    ``expected`` is the digest of the difference that the caller has seen. Raises Invalid naming the
    path, Conflict, BadRequest, Stale where the difference is another by now; then nothing changed.
    """
    document = check(raw, SHAPES)
    try:
        report = _apply(document, raw, dry_run, prune, progress)
        if expected is not None and report.digest != expected:
            raise Stale("The configuration has changed since: look at the difference again.")
        if not dry_run and report.diff:
            commit()
        return report
    finally:
        db.session.rollback()  # does nothing after a commit


def _apply(
    document: Document,
    raw: dict[str, list[Item]],
    dry_run: bool,
    prune: bool,
    progress: Progress | None,
) -> Report:
    given = [section for section in SECTIONS if section.name in document]
    rows = _lock_rows()
    before = {it.name: it.dump_rows(rows[it.name]) for it in SECTIONS}
    warnings: list[str] = []
    for section in given:
        items = section.in_order(document[section.name])
        label = f"Importing {section.name}"
        with progress(items, label=label) if progress else nullcontext(items) as steps:
            warnings += _write(section, steps, rows[section.name], before)
    if prune:
        # Agents go before what they use.
        for section in reversed(given):
            _prune(section, document[section.name], rows[section.name])
    after = _read_outcome(document, given)
    differences = diff(before, after, SHAPES)
    # Counted among what the document names: others may have changed along, e.g. a former default.
    touched = {(it.section, it.name) for it in differences}
    named = [(it.name, item[it.key]) for it in given for item in document[it.name]]
    unchanged = sum(name not in touched for name in named)
    return Report(dry_run, differences, unchanged, warnings + missing_keys(raw, after, SHAPES))


def _lock_rows() -> dict[str, Any]:
    """Every section's rows, so that nobody changes them before the commit."""
    lock("import")
    lock_defaults({"is_default": True})
    # Agents before providers, as a save of an agent takes them: two of them never cross.
    return {section.name: section.load_rows(for_update=True) for section in reversed(SECTIONS)}


def _read_outcome(document: Document, given: list[Section]) -> Document:
    flush()
    # Read afresh: a chain's list in memory is not in the order of its positions any more.
    db.session.expire_all()
    after = export_document()
    for section in given:
        by_name = {item[section.key]: item for item in after[section.name]}
        section.check_outcome(document[section.name], by_name)
    return after


def _write(section: Section, items: Iterable[Item], rows: Any, before: Document) -> list[str]:
    present = {item[section.key]: item for item in before[section.name]}
    warnings: list[str] = []
    for item in items:
        name = item[section.key]
        with _named(section, name):
            if name not in rows:
                found = section.create(item)
            elif changed := section.changed(item, present[name]):
                found = section.update(rows[name], changed)
            else:
                continue
        warnings += [f"{section.name} {name}: {text}" for text in found]
    return warnings


def _prune(section: Section, items: list[Item], rows: Any) -> None:
    kept = {item[section.key] for item in items}
    for name in sorted(rows.keys() - kept):
        with _named(section, name):
            section.delete(rows[name])


@contextmanager
def _named(section: Section, name: str) -> Iterator[None]:
    """Whatever is refused names the item it is refused for."""
    where = f"{section.name}[{name}]"
    try:
        yield
    except Invalid as error:
        raise Invalid({f"{where}.{it}": text for it, text in error.errors.items()}) from None
    except (BadRequest, Conflict) as error:
        raise type(error)(f"{where}: {error.message}") from None
