"""`GET /usage/summary`: what was spent in a period, by agent, model, provider, task and day.

Rollups and events are written in one transaction, so every event that was acknowledged is in; and
the total is the sum of the rows, so it is the same whatever they are grouped by.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from app.core.errors import Invalid
from app.prices.cost import CURRENCY
from app.usage.measures import COUNTS, LATENCIES, MONEY, PER_NANO, percentiles, show
from app.usage.periods import show_day
from app.usage.sums import DAILY, GROUPS, Group, Question, Values, read_sums

MAX_ROWS = 20_000
MAX_ROWS_TIMED = 500
"""Up to so many rows come with the percentiles of their latencies."""
AMOUNTS = COUNTS + MONEY

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
    amounts, latencies = _read(question, timed=timed)
    rows = [_row(question, group, amounts, latencies) for group in sorted(amounts)]
    return {"rows": rows} | _frame(question, amounts, latencies if timed else None)


def summarise_dearest(question: Question, at_most: int) -> dict[str, Any]:
    """The same with so many rows only: the newest day, then the dearest group first.

    ``rest`` is the sum of the other rows, with their number as ``rows``; None = no others.
    """
    amounts, latencies = _read(question, timed=True)
    by_day = question.group_by.index(DAILY) if DAILY in question.group_by else None

    def rank(group: Group) -> tuple[int, int, int]:
        values = amounts[group]
        cost = values["cost_nanos"] * PER_NANO + values["cost_attos"]
        return 0 if by_day is None else group[by_day], cost, values["calls"]

    ordered = sorted(amounts, key=rank, reverse=True)
    shown, others = ordered[:at_most], [amounts[group] for group in ordered[at_most:]]
    return {
        "rows": [_row(question, group, amounts, latencies) for group in shown],
        "rest": show(_total(others, AMOUNTS)) | {"rows": len(others)} if others else None,
    } | _frame(question, amounts, latencies)


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


def _row(question: Question, group: Group, amounts: Sums, latencies: Sums) -> dict[str, Any]:
    fields = [GROUPS.get(name, DAILY) for name in question.group_by]
    return {
        **dict(zip(fields, map(_name, fields, group), strict=True)),
        **show(amounts[group]),
        "latency_ms": _latency(latencies.get(group)),
    }


def _frame(question: Question, amounts: Sums, latencies: Sums | None) -> dict[str, Any]:
    """What stands around the rows; latencies None = not asked for."""
    of_all = None
    if latencies is not None:
        read = latencies or read_sums(replace(question, group_by=()), LATENCIES)
        of_all = _total(read.values(), LATENCIES)
    total = show(_total(amounts.values(), AMOUNTS)) | {"latency_ms": _latency(of_all)}
    return {"total": total, "currency": CURRENCY, "tz": question.zone.key}


def _name(field: str, value: Any) -> Any:
    return show_day(value) if field == DAILY else value or None


def _total(rows: Iterable[Values], names: Sequence[str]) -> Values:
    columns = zip(*(values.values() for values in rows), strict=True)
    return dict.fromkeys(names, 0) | dict(zip(names, map(sum, columns), strict=False))


def _latency(values: Values | None) -> dict[str, int | None] | None:
    """Milliseconds; null where there are too many rows to look at the latencies of each."""
    return None if values is None else percentiles([values[name] for name in LATENCIES])
