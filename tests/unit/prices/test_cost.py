"""Costs: exact, additive, monotone, never negative, and no float on the way."""

import ast
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.prices import book, catalogue, cost, plausible, rates
from app.prices.cost import Rates, Source, Tier, TokenRates, Usage, completed

RATES = st.decimals("0", "1", places=18)
MAYBE = st.none() | RATES
COUNTS = st.integers(0, 10**12)
TOKEN_RATES = st.builds(
    TokenRates,
    input=RATES,
    cached_input=MAYBE,
    cache_write=MAYBE,
    cache_write_1h=MAYBE,
    output=RATES,
    reasoning=MAYBE,
)
FLAT = st.builds(
    Rates, source=st.just(Source.TABLE), base=TOKEN_RATES, per_request=MAYBE, web_search=RATES
)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    written = draw(COUNTS)
    cached = draw(COUNTS)
    output = draw(COUNTS)
    return Usage(
        input_tokens=cached + written + draw(COUNTS),
        cached_input_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=draw(st.integers(0, written)),
        output_tokens=output,
        reasoning_tokens=draw(st.integers(0, output)),
        web_searches=draw(st.integers(0, 1000)),
    )


def together(one: Usage, other: Usage) -> Usage:
    names = Usage.__dataclass_fields__
    return Usage(**{name: getattr(one, name) + getattr(other, name) for name in names})


def charged(usage: Usage, by: Rates) -> Decimal:
    amount = cost.cost(usage, by)
    assert type(amount) is Decimal
    return amount


@given(FLAT, usages(), usages())
def test_what_two_calls_cost_is_what_they_cost_together(by: Rates, one: Usage, two: Usage) -> None:
    whole = charged(together(one, two), by)
    assert Fraction(charged(one, by)) + Fraction(charged(two, by)) == Fraction(whole)


@given(FLAT, usages(), usages())
def test_more_never_costs_less(by: Rates, one: Usage, more: Usage) -> None:
    assert 0 <= charged(one, by) <= charged(together(one, more), by)


@given(FLAT, usages())
def test_the_money_is_exact(by: Rates, usage: Usage) -> None:
    base = by.base
    write = base.input if base.cache_write is None else base.cache_write
    write_1h = write if base.cache_write_1h is None else base.cache_write_1h
    cached = base.input if base.cached_input is None else base.cached_input
    reasoning = base.output if base.reasoning is None else base.reasoning
    fresh = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
    parts = (
        (fresh, base.input),
        (usage.cached_input_tokens, cached),
        (usage.cache_write_tokens - usage.cache_write_1h_tokens, write),
        (usage.cache_write_1h_tokens, write_1h),
        (usage.output_tokens - usage.reasoning_tokens, base.output),
        (usage.reasoning_tokens, reasoning),
        (usage.web_searches, by.web_search),
        (1, by.per_request or 0),
    )
    assert Fraction(charged(usage, by)) == sum(
        (count * Fraction(rate) for count, rate in parts), Fraction(0)
    )


@pytest.mark.parametrize("module", [cost, catalogue, book, rates, plausible])
def test_no_float_is_on_the_way(module: object) -> None:
    tree = ast.parse(Path(module.__file__).read_text())  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float))
        assert not (isinstance(node, ast.Name) and node.id in {"float", "round"})
        assert not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow))


PER_TOKEN = TokenRates(input=Decimal("0.002"), output=Decimal("0.008"))


@pytest.mark.parametrize(
    ("cached_rate", "expected"), [(None, "2"), (Decimal(0), "0.2"), (Decimal("0.001"), "1.1")]
)
def test_a_missing_cached_rate_is_the_full_one_and_zero_is_zero(
    cached_rate: Decimal | None, expected: str
) -> None:
    by = Rates(source=Source.STEP, base=replace(PER_TOKEN, cached_input=cached_rate))
    usage = Usage(input_tokens=1000, cached_input_tokens=900)
    assert charged(usage, by) == Decimal(expected)


@pytest.mark.parametrize(
    ("input_tokens", "expected"),
    [(100, "0.2"), (200, "0.4"), (201, "0.603"), (400, "1.2"), (401, "2.005")],
)
def test_a_tier_counts_for_the_whole_call_strictly_above_it(
    input_tokens: int, expected: str
) -> None:
    tiers = (
        Tier(200, TokenRates(input=Decimal("0.003"))),
        Tier(400, TokenRates(input=Decimal("0.005"))),
    )
    by = Rates(source=Source.TABLE, base=PER_TOKEN, tiers=tiers)
    assert charged(Usage(input_tokens=input_tokens), by) == Decimal(expected)


@pytest.mark.parametrize(
    "counts",
    [{"output_tokens": 1}, {"reasoning_tokens": 1, "output_tokens": 1}, {"web_searches": 1}],
)
def test_what_has_no_known_rate_is_unpriced_and_not_free(counts: dict[str, int]) -> None:
    by = Rates(source=Source.STEP, base=TokenRates(input=Decimal(1)))
    assert cost.cost(Usage(input_tokens=1), by) == 1
    assert cost.cost(Usage(input_tokens=1, **counts), by) is None


def test_rates_finer_than_18_places_round_to_the_nearest() -> None:
    by = Rates(source=Source.STEP, base=TokenRates(input=Decimal("1.5e-19")))
    assert charged(Usage(input_tokens=10), by) == Decimal("2e-18")


@pytest.mark.parametrize(
    ("counts", "named"),
    [
        ({"input_tokens": 1, "cached_input_tokens": 2}, "cached_input_tokens"),
        ({"input_tokens": 3, "cached_input_tokens": 2, "cache_write_tokens": 2}, "cache_write_t"),
        (
            {"input_tokens": 3, "cache_write_tokens": 2, "cache_write_1h_tokens": 3},
            "cache_write_1h",
        ),
        ({"output_tokens": 1, "reasoning_tokens": 2}, "reasoning_tokens"),
        ({"input_tokens": -1, "cached_input_tokens": -1}, "input_tokens"),
        ({"web_searches": -1}, "web_searches"),
    ],
)
def test_counts_that_cannot_be_true_are_refused(counts: dict[str, int], named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named}"):
        Usage(**counts)


def test_the_next_source_adds_only_what_is_left_open() -> None:
    other = Rates(
        source=Source.CATALOGUE,
        base=replace(PER_TOKEN, cached_input=Decimal("0.0001"), reasoning=Decimal("0.009")),
        tiers=(Tier(200, TokenRates(input=Decimal("0.004"), output=Decimal("0.016"))),),
        web_search=Decimal("0.01"),
    )
    own = Rates(source=Source.STEP, base=TokenRates(input=Decimal("0.001")))
    found = completed(own, other)
    assert found.source is Source.STEP
    # It says what input costs: cached input costs as much, whatever the list says.
    assert found.base == TokenRates(
        input=Decimal("0.001"), output=Decimal("0.008"), reasoning=Decimal("0.009")
    )
    assert found.at(201) == TokenRates(input=Decimal("0.001"), output=Decimal("0.016"))
    assert found.web_search == Decimal("0.01")


def test_what_is_stored_beside_a_cost_names_its_units() -> None:
    by = Rates(
        source=Source.TABLE,
        base=TokenRates(input=Decimal("0.0000025"), cached_input=Decimal(0)),
        tiers=(Tier(200_000, TokenRates(input=Decimal("0.000005"))),),
        per_request=Decimal("0.0010"),
        web_search=Decimal("0.01"),
    )
    assert by.as_dict() == {
        "source": "table",
        "currency": "USD",
        "input_per_1m": "2.5",
        "cached_input_per_1m": "0",
        "per_request": "0.001",
        "web_search_per_1k": "10",
        "tiers": [{"above": 200_000, "input_per_1m": "5"}],
    }
