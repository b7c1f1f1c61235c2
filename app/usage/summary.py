"""`GET /usage/summary`: what was spent in a period, by agent, model, provider, task and day.

Rollups and events are written in one transaction, so every event that was acknowledged is in; and
the total is the sum of the rows, so it is the same whatever they are grouped by.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from operator import sub
from typing import Any

from app.core.errors import Invalid
from app.prices.cost import CURRENCY
from app.usage.measures import AMOUNTS, LATENCIES, SHOWN, percentiles, show, show_values
from app.usage.periods import show_day
from app.usage.sums import DAILY, GROUPS, Group, Question, Values, read_dearest, read_sums, settled

MAX_ROWS = 20_000
MAX_ROWS_TIMED = 500
"""Up to so many rows come with the percentiles of their latencies."""

Sums = dict[Group, Values]


def read_group_by(text: str | None) -> list[str]:
    """The groups of a query parameter, e.g. ``agent,day``. Raises Invalid."""
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    known = (*GROUPS, DAILY)
    if len(set(names)) != len(names) or not set(names) <= set(known):
        raise Invalid.field("group_by", f"Any of {', '.join(known)}, with commas, each once.")
    return names


def summarise(question: Question, *, timed: bool = True) -> dict[str, Any]:
    """The answer: a row for each group, in the groups' order, and the total. Raises Invalid.

    Call it in a snapshot: it reads more than once. Not ``timed``, it looks at no latencies.
    """
    question = settled(question)
    amounts, latencies = _read(question, timed=timed)
    rows = _rows(question, sorted(amounts), amounts, latencies)
    total = _total(amounts.values(), AMOUNTS)
    return {"rows": rows} | _frame(question, total, latencies if timed else None)


def summarise_dearest(question: Question, at_most: int) -> dict[str, Any]:
    """The same with so many rows only: the newest day, then the dearest group first.

    ``rest`` is the sum of the other rows, with their number as ``rows``; None = no others.
    """
    question = settled(question)
    amounts, number = read_dearest(question, at_most)
    total = _total(read_sums(replace(question, group_by=()), AMOUNTS).values(), AMOUNTS)
    latencies = read_sums(question, LATENCIES) if number <= MAX_ROWS_TIMED else {}
    rest = tuple(map(sub, total, _total(amounts.values(), AMOUNTS)))
    others = number - len(amounts)
    return {
        "rows": _rows(question, list(amounts), amounts, latencies),
        "rest": show(rest) | {"rows": others} if others else None,
    } | _frame(question, total, latencies)


def rows_of(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of an answer as a table has them, latencies side by side, and the total last."""
    for row in (*answer["rows"], answer["total"]):
        flat = dict(row)
        latency = flat.pop("latency_ms") or {}
        yield flat | {f"latency_ms_{name}": value for name, value in latency.items()}


def _read(question: Question, *, timed: bool) -> tuple[Sums, Sums]:
    """The amounts of each group, and the latencies where there are not too many."""
    amounts = read_sums(question, AMOUNTS)
    if len(amounts) > MAX_ROWS:
        message = f"More than {MAX_ROWS} rows: ask for a shorter period, or by less."
        raise Invalid.field("group_by", message)
    few = timed and len(amounts) <= MAX_ROWS_TIMED
    return amounts, read_sums(question, LATENCIES) if few else {}


def _rows(
    question: Question, groups: Sequence[Group], amounts: Sums, latencies: Sums
) -> list[dict[str, Any]]:
    fields = [GROUPS.get(name, DAILY) for name in question.group_by]
    names = (*fields, *SHOWN, "latency_ms")

    def row(group: Group) -> dict[str, Any]:
        latency = _latency(latencies.get(group))
        values = *map(_name, fields, group), *show_values(amounts[group]), latency
        return dict(zip(names, values, strict=True))

    return [row(group) for group in groups]


def _frame(question: Question, total: Values, latencies: Sums | None) -> dict[str, Any]:
    """What stands around the rows; latencies None = not asked for, empty = not yet read."""
    of_all = None
    if latencies is not None:
        read = latencies or read_sums(replace(question, group_by=()), LATENCIES)
        of_all = _total(read.values(), LATENCIES)
    amounts = show(total) | {"latency_ms": _latency(of_all)}
    return {"total": amounts, "currency": CURRENCY, "tz": question.zone.key}


def _name(field: str, value: Any) -> Any:
    return show_day(value) if field == DAILY else value or None


def _total(rows: Iterable[Values], names: Sequence[str]) -> Values:
    return tuple(map(sum, zip(*rows, strict=True))) or (0,) * len(names)


def _latency(values: Values | None) -> dict[str, int | None] | None:
    """Milliseconds; null where there are too many rows to look at the latencies of each."""
    return None if values is None else percentiles(values)
