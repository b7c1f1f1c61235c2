"""What is summed up of calls: whole numbers only, so that no sum depends on its order. Pure.

Money is two of them, billionths and what is left in 1e-18: one number of that unit would leave
64 bits at nine dollars, and SQLite sums decimals as floats. Latencies are a histogram: its sums
give percentiles of any period, as near as its classes are wide.
"""

from bisect import bisect_left
from collections.abc import Sequence
from decimal import Context, Decimal
from itertools import accumulate
from operator import add
from typing import Any

from app.prices.cost import text_of
from app.usage.event_fields import ERROR, Event

COUNTS = (
    "calls",
    "errors",
    "fallbacks",
    "unpriced_calls",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
    "web_searches",
)
MONEY = ("cost_nanos", "cost_attos")
LATENCY_BOUNDS = (
    *(50, 100, 200, 300, 500, 750, 1000, 1500, 2000, 3000, 5000, 7500),
    *(10_000, 20_000, 60_000, 300_000),
)
"""Milliseconds; a class reaches from the bound before it to its own."""
LATENCIES = tuple(f"latency_{number}" for number in range(len(LATENCY_BOUNDS) + 1))
"""How many calls were in each class; the last one has no end."""
AMOUNTS = COUNTS + MONEY
MEASURES = AMOUNTS + LATENCIES
SHOWN = (*COUNTS, "cost")
"""The names of amounts in every answer."""
PERCENTILES = (50, 95, 99)

Sums = Sequence[int]
"""One number for each of MEASURES."""

NOTHING: Sums = (0,) * len(MEASURES)
MAX_COST = Decimal(10**6)
"""Dollars. More for one call is somebody's slip; and nine thousand times as much is the most that a
sum may come to: beyond 64 bits PostgreSQL stores nothing, and SQLite floats."""
_EXACT = Context(prec=120)
_NANO, _ATTO = Decimal("1e-9"), Decimal("1e-18")
PER_NANO = 10**9
_NO_LATENCIES = (0,) * len(LATENCIES)
_ONE_LATENCY = [
    tuple(int(number == its) for number in range(len(LATENCIES))) for its in range(len(LATENCIES))
]


def measures_of(event: Event, cost: Decimal | None) -> Sums:
    """What one call adds; ``cost`` None = unpriced."""
    return (
        1,
        int(event.status == ERROR),
        int(event.attempt > 0),
        int(cost is None),
        event.input_tokens,
        event.output_tokens,
        event.cached_input_tokens,
        event.cache_write_tokens,
        event.cache_write_1h_tokens,
        event.reasoning_tokens,
        event.web_searches,
        *split_money(cost or Decimal(0)),
        *_latencies(event.latency_ms),
    )


def added(one: Sums, other: Sums) -> tuple[int, ...]:
    """Both together."""
    return tuple(map(add, one, other))


def split_money(amount: Decimal) -> tuple[int, int]:
    """An amount of at most 18 places as billionths and 1e-18ths; the second is never negative."""
    return divmod(int(amount.scaleb(18, context=_EXACT)), PER_NANO)


def join_money(nanos: int, attos: int) -> Decimal:
    """The amount of summed parts."""
    return _EXACT.add(_EXACT.multiply(nanos, _NANO), _EXACT.multiply(attos, _ATTO))


def show_money(amount: Decimal | None) -> str | None:
    """Plain digits without trailing zeros; None = unknown."""
    return None if amount is None else text_of(amount)


def percentiles(classes: Sequence[int]) -> dict[str, int | None]:
    """p50, p95 and p99 in milliseconds, None without any call that was timed.

    Within a class calls are taken to be spread evenly; beyond the last bound, it is the bound.
    """
    reached = list(accumulate(classes))
    return {f"p{share}": _percentile(classes, reached, share) for share in PERCENTILES}


def show(amounts: Sums) -> dict[str, Any]:
    """Sums of AMOUNTS as every answer has them."""
    return dict(zip(SHOWN, show_values(amounts), strict=True))


def show_values(amounts: Sums) -> tuple[Any, ...]:
    """The same without the names, for ten thousand rows."""
    *counts, nanos, attos = amounts
    return (*counts, _show_parts(nanos, attos))


def _show_parts(nanos: int, attos: int) -> str:
    """The same as by way of a decimal, for ten thousand rows in no time."""
    units = nanos * PER_NANO + attos
    whole, rest = divmod(abs(units), 10**18)
    sign = "-" if units < 0 else ""
    return f"{sign}{whole}.{rest:018}".rstrip("0") if rest else f"{sign}{whole}"


def _latencies(latency_ms: int | None) -> Sums:
    if latency_ms is None:
        return _NO_LATENCIES
    return _ONE_LATENCY[bisect_left(LATENCY_BOUNDS, latency_ms)]


def _percentile(classes: Sequence[int], reached: Sequence[int], share: int) -> int | None:
    if not reached or not reached[-1]:
        return None
    wanted = -(-reached[-1] * share // 100)  # the rank, rounded up
    number = next(n for n, count in enumerate(reached) if count >= wanted)
    if number == len(LATENCY_BOUNDS):
        return LATENCY_BOUNDS[-1]
    low = LATENCY_BOUNDS[number - 1] if number else 0
    rank = wanted - (reached[number] - classes[number])
    return low + (LATENCY_BOUNDS[number] - low) * rank // classes[number]
