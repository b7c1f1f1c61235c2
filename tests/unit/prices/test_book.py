"""The order of the sources, and how quickly a book answers."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from app.prices.book import ANY, Entry, PriceBook, ProviderRef, matches
from app.prices.cost import Rates, Source, TokenRates

AT = datetime(2026, 3, 1, tzinfo=UTC)
PROVIDERS = {
    "openai": ProviderRef("openai", listed_as="openai"),
    "deepseek": ProviderRef("deepseek", listed_as="deepseek"),
    "ollama": ProviderRef("ollama"),
    "lab": ProviderRef("vllm", 7),
    "somewhere": ProviderRef("openai_compatible", 8),
}
OWN = Rates(source=Source.STEP, base=TokenRates(input=Decimal(1), output=Decimal(2)))
PARTLY = Rates(source=Source.STEP, base=TokenRates(output=Decimal(2)))


def entry(number: int = 1, **values: object) -> Entry:
    given = {
        "provider_type": "openai",
        "provider_id": None,
        "model": "gpt-4.1",
        "service_tier": None,
        "valid_from": AT,
        "valid_until": None,
        "rates": Rates(source=Source.TABLE, base=TokenRates(input=Decimal(number))),
    }
    return Entry(id=number, **(given | values))  # type: ignore[arg-type]


def source(book: PriceBook, *args: object, **options: object) -> Source | None:
    rates = book.find_rates(*args, **options)  # type: ignore[arg-type]
    return rates and rates.source


@pytest.mark.parametrize(
    ("provider", "model", "own", "expected"),
    [
        ("openai", "gpt-4.1", OWN, Source.STEP),
        ("openai", "gpt-4.1", None, Source.TABLE),
        ("openai", "gpt-4.1-mini", None, Source.CATALOGUE),
        ("OpenAI", "gpt-4.1-mini", None, Source.CATALOGUE),
        ("openai", "no-such-model", None, None),
        ("ollama", "mistral:7b-instruct", None, Source.SELF_HOSTED),
        ("ollama", "deepseek-r1:7b", None, Source.SELF_HOSTED),
        ("lab", "gpt-4.1", None, Source.SELF_HOSTED),
        ("lab", "gpt-4.1", OWN, Source.STEP),
        ("somewhere", "gpt-4.1", None, None),
        ("nobody", "gpt-4.1", None, None),
        ("nobody", "gpt-4.1", OWN, Source.STEP),
    ],
)
def test_the_order_of_the_sources(
    provider: str, model: str, own: Rates | None, expected: Source | None
) -> None:
    assert source(PriceBook(PROVIDERS, [entry()]), provider, model, AT, own=own) is expected


def test_what_one_source_leaves_open_comes_from_the_next() -> None:
    rates = PriceBook(PROVIDERS, [entry(9)]).find_rates("openai", "gpt-4.1", AT, own=PARTLY)
    assert rates is not None
    assert (rates.base.output, rates.base.input) == (2, 9)
    alone = PriceBook(PROVIDERS, []).find_rates("ollama", "m", AT, own=PARTLY)
    assert alone is not None
    assert (alone.base.output, alone.base.input) == (2, 0)


def test_an_entry_holds_from_its_first_moment_to_before_its_end() -> None:
    end = AT + timedelta(days=1)
    book = PriceBook(PROVIDERS, [entry(valid_until=end)])
    tick = timedelta(microseconds=1)
    found = [source(book, "openai", "gpt-4.1", t) for t in (AT - tick, AT, end - tick, end)]
    assert found == [Source.CATALOGUE, Source.TABLE, Source.TABLE, Source.CATALOGUE]


@pytest.mark.parametrize(
    ("closer", "further"),
    [
        ({"provider_id": 3}, {"model": "gpt-4.1"}),
        ({"model": "gpt-4.1"}, {"model": "gpt-4.1" + ANY}),
        ({"model": "gpt-4" + ANY}, {"model": "gpt" + ANY}),
        ({"service_tier": "flex"}, {"service_tier": None}),
        ({"valid_from": AT}, {"valid_from": AT - timedelta(days=1)}),
        ({}, {}),  # written later, to correct the other
    ],
)
def test_the_closer_entry_counts(closer: dict[str, object], further: dict[str, object]) -> None:
    providers = {"mine": ProviderRef("openai", 3)}
    book = PriceBook(providers, [entry(2, **closer), entry(1, **further)])
    rates = book.find_rates("mine", "gpt-4.1", AT, service_tier="flex")
    assert rates is not None
    assert rates.base.input == 2


def test_what_was_found_is_remembered() -> None:
    book = PriceBook(PROVIDERS, [entry()])
    first = book.find_rates("openai", "gpt-4.1", AT)
    assert book.find_rates("openai", "gpt-4.1", AT + timedelta(hours=5)) is first


@pytest.mark.parametrize(
    ("pattern", "model", "expected"),
    [
        ("gpt-4.1", "GPT-4.1", True),
        ("gpt-4.1", "gpt-4.1-mini", False),
        ("gpt-4.1*", "gpt-4.1-mini", True),
        ("gpt-4.1*", "gpt-4", False),
    ],
)
def test_a_star_stands_for_the_rest(pattern: str, model: str, expected: bool) -> None:
    assert matches(pattern, model) is expected
