"""A repricing in the browser: a step a request, and between two of them it is the page that holds
how far it is, signed. Nobody's job is left behind when the page is closed."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from flask import current_app
from itsdangerous import BadSignature, URLSafeSerializer

from app.core.db import db, read_on, reading
from app.core.errors import BadRequest, Invalid
from app.usage.costs import Ask, read_ask
from app.usage.listing import Cursor, Selection, count_events
from app.usage.reach import Sight
from app.usage.reprice import Repriced, Repricing

STEP = 1.0  # seconds; the process that takes it has other people to answer


@dataclass
class Walk:
    """A repricing, what was asked for, and how many events that is."""

    ask: Ask
    number: int
    repricing: Repricing

    def go_on(self) -> None:
        """The next step; what the answer needs is read in a snapshot."""
        db.session.rollback()  # of what the request has read so far
        self.repricing.run(STEP)
        read_on()

    def again(self) -> "Walk":
        """The same from its beginning, and this time it is done."""
        selection = self.repricing.selection
        return Walk(self.ask, self.number, Repricing(selection, dry_run=False))

    @property
    def dearest(self) -> list[tuple[tuple[str, str], Repriced]]:
        """Provider and model with what changes of them, most first."""
        found = self.repricing.by_model.items()
        return sorted(found, key=lambda it: _weight(it[1]), reverse=True)

    def dump(self) -> str:
        """As it travels in a form."""
        it = self.repricing
        held = {
            "asked": self.ask.api_args,
            "number": self.number,
            "dry_run": it.dry_run,
            "reached": it.reached and [it.reached.started_at.isoformat(), it.reached.event_id],
            "report": _dump(it.report),
            "by_model": [[*key, *_dump(part)] for key, part in it.by_model.items()],
        }
        return str(_signer().dumps(held))


def begin(args: Mapping[str, str]) -> Walk:
    """A dry run over what the arguments name, at its beginning. Raises Invalid."""
    if not args.get("from", "").strip():
        raise Invalid.field("from", "Say from when on.")
    ask = read_ask(args, (), Sight())
    selection = _selection(ask)
    db.session.rollback()
    with reading():
        number = count_events(selection)
    return Walk(ask, number, Repricing(selection, dry_run=True))


def take_up(text: str) -> Walk:
    """The walk that a form has brought back. Raises BadRequest."""
    try:
        held: dict[str, Any] = _signer().loads(text)
    except BadSignature:
        raise BadRequest("This is not a repricing under way: begin again.") from None
    ask = read_ask(held["asked"], (), Sight())
    reached = held["reached"]
    repricing = Repricing(
        _selection(ask),
        held["dry_run"],
        _load(held["report"]),
        {(provider, model): _load(rest) for provider, model, *rest in held["by_model"]},
        reached and Cursor(datetime.fromisoformat(reached[0]), reached[1]),
    )
    return Walk(ask, held["number"], repricing)


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer(current_app.secret_key or "", salt="usage.reprice")


def _selection(ask: Ask) -> Selection:
    return Selection(ask.period, ask.filters)


def _weight(part: Repriced) -> tuple[Decimal, int]:
    return abs(part.new_cost - part.old_cost), part.changed


def _dump(report: Repriced) -> list[Any]:
    return [str(it) if isinstance(it, Decimal) else it for it in astuple(report)]


def _load(values: list[Any]) -> Repriced:
    figures: list[Any] = [Decimal(it) if isinstance(it, str) else it for it in values]
    return Repriced(*figures)
