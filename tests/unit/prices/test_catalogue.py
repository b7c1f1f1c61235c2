"""The catalogue: what genai-prices itself would charge, for every model of every type."""

from collections.abc import Iterator
from datetime import UTC, datetime, time
from decimal import Decimal

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, Provider, TimeOfDateConstraint

from app.prices.catalogue import (
    IDS,
    STANDARD,
    Context,
    catalogue_id,
    context_of,
    find_listed,
)
from app.prices.cost import PLACES, Usage, cost
from app.providers.adapters import list_types

AT = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
EXAMPLES = (
    Usage(input_tokens=1000, output_tokens=500),
    Usage(input_tokens=200_000, output_tokens=1),
    Usage(
        input_tokens=300_001,
        cached_input_tokens=100_000,
        cache_write_tokens=5000,
        cache_write_1h_tokens=2000,
        output_tokens=1000,
        reasoning_tokens=700,
        web_searches=2,
    ),
)
CONTEXTS: tuple[Context, ...] = (
    STANDARD,
    (("processing", "batch"),),
    (("service_tier", "flex"),),
    (("service_tier", "priority"),),
)


def sellers() -> Iterator[tuple[Provider, ModelInfo]]:
    known = set(IDS.values())
    for provider in get_snapshot().providers:
        if provider.id in known:
            for model in provider.models:
                yield provider, model


def theirs(usage: Usage, provider: Provider, model: ModelInfo, context: Context) -> Decimal:
    counts = TheirUsage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cached_input_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        output_tokens=usage.output_tokens,
        output_reasoning_tokens=usage.reasoning_tokens,
        web_searches=usage.web_searches,
    )
    price = model.calc_price(
        counts, provider, genai_request_timestamp=AT, price_context=dict(context)
    )
    # Some of its prices have 17 places a million, more than money is kept to.
    return price.total_price.quantize(PLACES)


def test_every_model_costs_what_the_catalogue_itself_says() -> None:
    compared = 0
    for provider, model in sellers():
        listed = find_listed(provider.id, model.id)
        if listed is None or listed.info is not model:
            continue  # shadowed by a pattern above it
        for context in CONTEXTS:
            rates = listed.rates(AT, context)
            for usage in EXAMPLES if rates else ():
                ours = cost(usage, rates)
                if ours is None:
                    continue  # it counts what it has no price for as free
                assert ours == theirs(usage, provider, model, context), (provider.id, model.id)
                compared += 1
    assert compared > 8_000


def test_every_id_of_the_catalogue_is_there() -> None:
    assert set(IDS.values()) <= {provider.id for provider in get_snapshot().providers}
    assert set(IDS) <= set(list_types())


@pytest.mark.parametrize(
    ("provider_type", "base_url", "expected"),
    [
        ("grok", None, "x-ai"),
        ("ollama", "https://api.openai.com/v1", None),
        ("vllm", None, None),
        ("openai_compatible", None, None),
        ("openai_compatible", "http://127.0.0.1:8080/v1", None),
        ("openai_compatible", "https://api.together.xyz/v1", "together"),
        ("openai", "https://eu.api.openai.com/v1", "openai"),
    ],
)
def test_who_a_provider_is(provider_type: str, base_url: str | None, expected: str | None) -> None:
    assert catalogue_id(provider_type, base_url) == expected


def test_a_model_is_never_found_by_its_name_alone() -> None:
    assert find_listed("deepseek", "deepseek-reasoner") is not None
    assert find_listed("openai", "deepseek-reasoner") is None
    assert find_listed("nobody", "gpt-4.1") is None


@pytest.mark.parametrize(
    ("service_tier", "processing", "expected"),
    [
        (None, None, STANDARD),
        ("batch", None, (("processing", "batch"),)),
        (None, "batch", (("processing", "batch"),)),
        ("flex", "flex", (("service_tier", "flex"),)),
        (None, "flex", (("service_tier", "flex"),)),
        ("priority", None, (("service_tier", "priority"),)),
        ("default", "batch", (("processing", "batch"), ("service_tier", "default"))),
    ],
)
def test_batch_and_flex_count_in_whichever_field_they_come(
    service_tier: str | None, processing: str | None, expected: Context
) -> None:
    assert context_of(service_tier, processing) == expected


def test_prices_by_the_hour_are_kept_by_the_minute_and_no_finer() -> None:
    daily = [
        (provider.id, model.id, constraint)
        for provider, model in sellers()
        if isinstance(model.prices, list)
        for constraint in [price.constraint for price in model.prices]
        if isinstance(constraint, TimeOfDateConstraint)
    ]
    assert daily
    for provider_id, model_id, constraint in daily:
        for moment in (constraint.start_time, constraint.end_time):
            assert (moment.second, moment.microsecond) == (0, 0)
        listed = find_listed(provider_id, model_id)
        assert listed is not None
        assert listed.moment(AT.replace(second=59)) == AT


def test_off_peak_costs_less() -> None:
    listed = find_listed("deepseek", "deepseek-v4-pro")
    assert listed is not None
    peak, off = (listed.rates(datetime.combine(AT, time(hour), UTC)) for hour in (7, 20))
    assert peak is not None
    assert off is not None
    assert off.base.output < peak.base.output
