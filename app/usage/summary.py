"""`GET /usage/summary`: what was spent in a period, by agent, model, provider, task and day.

Rollups and events are written in one transaction, so every event that was acknowledged is in; and
the total is the sum of the rows, so it is the same whatever they are grouped by.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

from app.core.errors import Invalid
from app.prices.cost import CURRENCY
from app.usage.measures import COUNTS, LATENCIES, MONEY, percentiles, show
from app.usage.periods import show_day
from app.usage.sums import DAILY, GROUPS, Question, Values, read_sums

MAX_ROWS = 20_000
MAX_ROWS_TIMED = 500
"""Up to so many rows come with the percentiles of their latencies."""
AMOUNTS = COUNTS + MONEY


def read_group_by(text: str | None) -> list[str]:
    """The groups of a query parameter, e.g. ``agent,day``. Raises Invalid."""
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    known = (*GROUPS, DAILY)
    if len(set(names)) != len(names) or not set(names) <= set(known):
        raise Invalid.field("group_by", f"Any of {', '.join(known)}, with commas, each once.")
    return names


def summarise(question: Question) -> dict[str, Any]:
    """The answer: a row for each group, in the groups' order, and the total. Raises Invalid.

    Call it in a snapshot: it reads more than once.
    """
    amounts = read_sums(question, AMOUNTS)
    if len(amounts) > MAX_ROWS:
        message = f"More than {MAX_ROWS} rows: ask for a shorter period, or by less."
        raise Invalid.field("group_by", message)
    timed = read_sums(question, LATENCIES) if len(amounts) <= MAX_ROWS_TIMED else {}
    fields = [GROUPS.get(name, DAILY) for name in question.group_by]
    rows = [
        {
            **dict(zip(fields, map(_name, fields, group), strict=True)),
            **show(values),
            "latency_ms": _latency(timed.get(group)),
        }
        for group, values in sorted(amounts.items(), key=itemgetter(0))
    ]
    of_all = timed or read_sums(replace(question, group_by=()), LATENCIES)
    total = {
        **show(_total(amounts.values(), AMOUNTS)),
        "latency_ms": _latency(_total(of_all.values(), LATENCIES)),
    }
    return {"rows": rows, "total": total, "currency": CURRENCY, "tz": question.zone.key}


def rows_of(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of an answer as a table has them, latencies side by side, and the total last."""
    for row in (*answer["rows"], answer["total"]):
        flat = dict(row)
        latency = flat.pop("latency_ms") or {}
        yield flat | {f"latency_ms_{name}": value for name, value in latency.items()}


def _name(field: str, value: Any) -> Any:
    return show_day(value) if field == DAILY else value or None


def _total(rows: Iterable[Values], names: Sequence[str]) -> Values:
    columns = zip(*(values.values() for values in rows), strict=True)
    return dict.fromkeys(names, 0) | dict(zip(names, map(sum, columns), strict=False))


def _latency(values: Values | None) -> dict[str, int | None] | None:
    """Milliseconds; null where there are too many rows to look at the latencies of each."""
    return None if values is None else percentiles([values[name] for name in LATENCIES])
