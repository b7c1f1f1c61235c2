"""Money in two whole numbers, latencies in classes."""

import math
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from app.usage.measures import (
    COUNTS,
    LATENCIES,
    LATENCY_BOUNDS,
    join_money,
    percentiles,
    show,
    show_money,
    split_money,
)

amounts = st.decimals(0, 10**9, places=18, allow_nan=False)


@given(st.lists(amounts, max_size=30))
def test_summed_parts_are_the_sum(paid: list[Decimal]) -> None:
    parts = [split_money(it) for it in paid]
    assert all(0 <= attos < 10**9 and nanos < 2**63 for nanos, attos in parts)
    total = join_money(sum(nanos for nanos, _ in parts), sum(attos for _, attos in parts))
    assert Fraction(total) == sum(map(Fraction, paid))


@given(amounts, amounts)
def test_differences_are_exact_too(old: Decimal, new: Decimal) -> None:
    nanos, attos = (b - a for a, b in zip(split_money(old), split_money(new), strict=True))
    assert Fraction(join_money(nanos, attos)) == Fraction(new) - Fraction(old)


@given(st.integers(-(10**18), 10**18), st.integers(0, 10**12))
def test_sums_are_shown_as_the_decimal_they_are(nanos: int, attos: int) -> None:
    sums = (*(0 for _ in COUNTS), nanos, attos)
    assert show(sums)["cost"] == show_money(join_money(nanos, attos))


def test_money_is_shown_plainly() -> None:
    assert show_money(None) is None
    for amount, shown in (("0E-18", "0"), ("1E+3", "1000"), ("0.0000036250", "0.000003625")):
        assert show_money(Decimal(amount)) == shown


@given(st.lists(st.integers(0, LATENCY_BOUNDS[-1]), min_size=1, max_size=200))
def test_a_percentile_is_in_the_class_of_the_exact_one(latencies: list[int]) -> None:
    classes = [0] * len(LATENCIES)
    for it in latencies:
        classes[sum(it > bound for bound in LATENCY_BOUNDS)] += 1
    found = percentiles(classes)
    for share in (50, 95, 99):
        exact = sorted(latencies)[math.ceil(len(latencies) * share / 100) - 1]
        number = sum(exact > bound for bound in LATENCY_BOUNDS)
        low = LATENCY_BOUNDS[number - 1] if number else 0
        value = found[f"p{share}"]
        assert value is not None
        assert low <= value <= LATENCY_BOUNDS[number]


def test_without_a_timed_call_there_is_no_percentile() -> None:
    assert percentiles([0] * len(LATENCIES)) == {"p50": None, "p95": None, "p99": None}
    assert percentiles([0] * (len(LATENCIES) - 1) + [1])["p50"] == LATENCY_BOUNDS[-1]
