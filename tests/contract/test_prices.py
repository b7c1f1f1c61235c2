"""Row U1's price table: exact money, a history that stays, slips of the unit noticed."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from app.core.clock import utcnow
from app.prices.catalogue import find_listed
from app.prices.cost import Source, Usage, cost
from app.prices.services import find_rates, price_book
from tests.conftest import Api
from tests.contract.conftest import on_sqlite

NEVER_LISTED = "house-model-1"
ROW = {"provider": "openai", "model": NEVER_LISTED, "input_per_1m": "3", "output_per_1m": "15"}
SPRING, SUMMER = datetime(2025, 4, 1, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC)

MIXED_UP: tuple[tuple[dict[str, str], str], ...] = (
    ({"model": "gpt-4.1", "input_per_1m": "0.002"}, "1,000 tokens? Then it is 2 for a million"),
    ({"model": "gpt-4.1", "output_per_1m": "0.000008"}, "one token? Then it is 8 for a mill"),
    ({"model": "gpt-4.1", "input_per_1m": "2000"}, "far from the list price, 2."),
    ({"input_per_1m": "0.000003"}, "one token? Then it is 3 for"),
    ({"input_per_1m": "0.0005"}, "1,000 tokens? Then it is 0.5 for"),
    ({"input_per_1m": "30000"}, "outside what models cost"),
)
WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({"input_per_1m": "-1"}, "input_per_1m"),
    ({"input_per_1m": "NaN"}, "input_per_1m"),
    ({"output_per_1m": "Infinity"}, "output_per_1m"),
    ({"output_per_1m": "1e99"}, "output_per_1m"),
    ({"output_per_1m": "0.0000000000001"}, "output_per_1m"),
    ({"per_request": True}, "per_request"),
    ({"provider": "nobody"}, "provider"),
    ({"provider_id": 1}, "provider"),
    ({"model": "*"}, "model"),
    ({"model": "a*b"}, "model"),
    ({"currency": "EUR"}, "currency"),
    ({"valid_from": "2025-01-01"}, "valid_from"),
    ({"valid_from": "2025-01-01T00:00:00"}, "valid_from"),
    ({"valid_from": "1970-01-01T00:00:00Z"}, "valid_from"),
    ({"valid_from": "9999-01-01T00:00:00Z"}, "valid_from"),
    ({"valid_until": "2024-01-01T00:00:00Z"}, "valid_until"),
    ({"cached_input_per_1m": "3.01"}, "cached_input_per_1m"),
    ({"tiers": [{"above": 0, "input_per_1m": "1"}]}, "tiers"),
    ({"tiers": [{"above": 5}]}, "tiers"),
    ({"tiers": [{"above": 5, "input_per_1m": "1"}] * 2}, "tiers"),
    ({"tiers": [{"above": 5, "input_per_1m": "0.000001"}]}, "tiers.0.input_per_1m"),
    ({"price": "1"}, "price"),
)

Charge = Callable[..., Any]


@pytest.fixture
def charge(app: Flask) -> Charge:
    """``charge(at=, provider=, **counts)``: source and money of a call of the house's model."""

    def of(
        at: datetime | None = None,
        provider: str = "openai",
        model: str = NEVER_LISTED,
        service_tier: str | None = None,
        **counts: int,
    ) -> tuple[Source, Decimal | None] | None:
        with app.app_context():
            rates = find_rates(None, provider, model, at or utcnow(), service_tier=service_tier)
            counts = counts or {"input_tokens": 1_000_000}
            return None if rates is None else (rates.source, cost(Usage(**counts), rates))

    return of


def test_a_row_is_stored_and_charged_to_the_last_digit(api: Api, charge: Charge) -> None:
    assert charge() is None
    amounts = {
        "input_per_1m": "0.003625000001",
        "cached_input_per_1m": "0",
        "cache_write_per_1m": "0.004",
        "cache_write_1h_per_1m": "0.008",
        "output_per_1m": "0.125",
        "reasoning_per_1m": "0.25",
        "per_request": "0.000000000001",
        "web_search_per_1k": "10",
    }
    answer = api("POST", "/prices", ROW | amounts | {"note": "our contract"})
    assert answer.status_code == 201, answer.text
    assert amounts.items() <= answer.json.items()
    assert answer.json["currency"] == "USD"
    assert answer.json["in_force"] is True
    read = api("GET", f"/prices/{answer.json['id']}")
    assert read.json == answer.json
    assert read.headers["ETag"] == '"1"'
    counts = {
        "input_tokens": 1000,
        "cached_input_tokens": 100,
        "cache_write_tokens": 50,
        "cache_write_1h_tokens": 20,
        "output_tokens": 10,
        "reasoning_tokens": 4,
        "web_searches": 3,
    }
    parts = ("0.00000308125000085", "0.00000012", "0.00000016", "0.00000075", "0.000001")
    fees = ("0.03", "0.000000000001")
    assert charge(**counts) == (Source.TABLE, sum(map(Decimal, parts + fees)))


def test_a_later_row_takes_over_and_the_earlier_calls_keep_their_price(
    api: Api, charge: Charge
) -> None:
    for moment, amount in ((SPRING, "3"), (SUMMER, "2")):
        row = ROW | {"valid_from": moment.isoformat(), "input_per_1m": amount}
        assert api("POST", "/prices", row).status_code == 201
    assert charge(SPRING - timedelta(microseconds=1)) is None
    assert charge(SPRING) == (Source.TABLE, 3)
    assert charge(SUMMER - timedelta(microseconds=1)) == (Source.TABLE, 3)
    assert charge(SUMMER) == (Source.TABLE, 2)
    assert [row["input_per_1m"] for row in api("GET", "/prices").json["prices"]] == ["2", "3"]
    then = api("GET", f"/prices?at={SPRING.isoformat().replace('+00:00', 'Z')}").json
    assert [row["input_per_1m"] for row in then["prices"]] == ["3"]


def test_an_offer_ends_and_what_held_before_holds_again(api: Api, charge: Charge) -> None:
    offer = {"valid_from": SPRING.isoformat(), "valid_until": SUMMER.isoformat()}
    assert api("POST", "/prices", ROW | {"valid_from": "2025-01-01T00:00:00Z"}).status_code == 201
    assert api("POST", "/prices", ROW | offer | {"input_per_1m": "1"}).status_code == 201
    assert charge(SPRING) == (Source.TABLE, 1)
    assert charge(SUMMER) == (Source.TABLE, 3)


@pytest.mark.parametrize("at", [timedelta(0), timedelta(days=1)])
def test_only_what_was_never_in_force_is_taken_back(api: Api, at: timedelta) -> None:
    moment = (utcnow() + at).isoformat()
    price_id = api("POST", "/prices", ROW | {"valid_from": moment}).json["id"]
    answer = api("DELETE", f"/prices/{price_id}")
    assert answer.status_code == (200 if at else 409)
    assert api("GET", f"/prices/{price_id}").status_code == (404 if at else 200)
    if not at:
        assert "valid_until" in answer.json["message"]


def test_a_row_ends_from_now_on_and_its_amounts_stay(api: Api, charge: Charge) -> None:
    price_id = api("POST", "/prices", ROW | {"valid_from": SPRING.isoformat()}).json["id"]
    path = f"/prices/{price_id}"
    past = {"valid_until": SUMMER.isoformat()}
    assert "valid_until" in api("PATCH", path, past).json["errors"]["json"]
    assert api("PATCH", path, {"input_per_1m": "1"}).status_code == 422
    soon = utcnow() + timedelta(hours=1)
    ended = api("PATCH", path, {"valid_until": soon.isoformat(), "note": "cancelled"})
    assert ended.status_code == 200, ended.text
    assert charge(soon - timedelta(seconds=1)) == (Source.TABLE, 3)
    assert charge(soon) is None
    stale = api("PATCH", path, {"note": "x"}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412


def test_a_wrong_price_is_corrected_openly(api: Api, charge: Charge) -> None:
    row = ROW | {"valid_from": SPRING.isoformat()}
    assert api("POST", "/prices", row).status_code == 201
    again = api("POST", "/prices", row | {"input_per_1m": "4"})
    assert again.status_code == 409
    assert "supersede" in again.json["message"]
    assert api("POST", "/prices", row | {"model": row["model"].upper()}).status_code == 409
    fixed = api("POST", "/prices", row | {"input_per_1m": "4", "supersede": True})
    assert fixed.status_code == 201
    assert charge(SPRING) == (Source.TABLE, 4)
    assert api("GET", "/prices").json["total"] == 2


def test_the_closest_row_counts(api: Api, charge: Charge) -> None:
    provider = {"name": "openai-eu", "type": "openai", "api_key": "sk-x"}
    provider_id = api("POST", "/providers", provider).json["id"]
    for extra in (  # the closest first: what comes later does not take over from it
        {"provider": "openai-eu", "input_per_1m": "4"},
        {"input_per_1m": "1.5", "service_tier": "batch"},
        {"input_per_1m": "3"},
        {"model": "house-model-*", "input_per_1m": "2"},
        {"model": "house-*", "input_per_1m": "1"},
    ):
        assert api("POST", "/prices", ROW | extra).status_code == 201
    soon = utcnow() + timedelta(seconds=1)
    assert charge(soon, model="house-other") == (Source.TABLE, 1)
    assert charge(soon, model="House-Model-9") == (Source.TABLE, 2)
    assert charge(soon) == (Source.TABLE, 3)
    assert charge(soon, service_tier="batch") == (Source.TABLE, Decimal("1.5"))
    assert charge(soon, provider="openai-eu") == (Source.TABLE, 4)
    listed = api("GET", "/prices?provider=openai-eu&model=house-model-1").json["prices"]
    assert {(row["provider"], row["provider_id"]) for row in listed} == {
        ("openai", None),
        ("openai-eu", provider_id),
    }
    renamed = api("PATCH", f"/providers/{provider_id}", {"name": "openai-de"})
    assert renamed.status_code == 200
    assert charge(soon, provider="openai-de") == (Source.TABLE, 4)
    assert api("DELETE", f"/providers/{provider_id}").status_code == 200


def test_tiers_are_a_cliff_strictly_above(api: Api, charge: Charge) -> None:
    tiers = [{"above": 400_000, "output_per_1m": "30"}, {"above": 200_000, "input_per_1m": "6"}]
    stored = api("POST", "/prices", ROW | {"tiers": tiers})
    assert stored.json["tiers"] == [tiers[1], tiers[0]]
    assert charge(input_tokens=200_000) == (Source.TABLE, Decimal("0.6"))
    assert charge(input_tokens=200_001) == (Source.TABLE, Decimal("1.200006"))


@on_sqlite
def test_a_price_for_another_unit_is_refused_with_what_is_meant(api: Api) -> None:
    for amounts, meant in MIXED_UP:
        row = {"provider": "openai", "model": NEVER_LISTED} | amounts
        answer = api("POST", "/prices", row)
        assert answer.status_code == 422
        (name,) = set(amounts) - {"model"}
        assert meant in answer.json["errors"]["json"][name][0]
        assert api("POST", "/prices", row | {"force": True}).status_code == 201


@on_sqlite
def test_what_is_no_price_is_refused(api: Api) -> None:
    for wrong, named in WRONG:
        answer = api("POST", "/prices", ROW | wrong)
        assert answer.status_code == 422, (wrong, answer.text)
        assert named in answer.json["errors"]["json"], wrong
    assert api("GET", "/prices").json["total"] == 0


@on_sqlite
def test_the_table_is_in_the_history(api: Api) -> None:
    price_id = api("POST", "/prices", ROW | {"valid_from": "2090-01-01T00:00:00Z"}).json["id"]
    assert api("DELETE", f"/prices/{price_id}").status_code == 200
    changes = api("GET", "/changes?entity=price").json["changes"]
    assert [change["operation"] for change in changes] == ["delete", "create"]


@on_sqlite
def test_the_book_is_read_anew_only_after_a_change(app: Flask, api: Api) -> None:
    with app.app_context():
        book = price_book()
        assert price_book() is book
    assert api("POST", "/prices", ROW).status_code == 201
    with app.app_context():
        assert price_book() is not book


def test_the_table_is_filled_from_the_catalogue_where_somebody_says_so(
    api: Api, charge: Charge
) -> None:
    for number, (provider, model) in enumerate(
        [
            ("openai", "gpt-4.1"),
            ("openai", NEVER_LISTED),
            ("deepseek", "deepseek-v4-pro"),
            ("google", "gemini-2.5-pro"),
        ]
    ):
        agent = {"name": f"A{number}", "llm_provider": provider, "llm_model": model}
        assert api("POST", "/agents", agent).status_code == 201
    row = {"provider": "openai", "model": "gpt-4.1", "input_per_1m": "5"}
    assert api("POST", "/prices", row).status_code == 201
    seen = api("POST", "/prices/fill", {}).json
    outcomes = {price["model"]: price["outcome"] for price in seen["prices"]}
    assert outcomes == {
        "gpt-4.1": "change",
        NEVER_LISTED: "not_listed",
        "deepseek-v4-pro": "by_the_hour",
        "gemini-2.5-pro": "add",
    }
    assert api("GET", "/prices").json["total"] == 1
    taken = {"dry_run": False, "models": ["gpt-4.1", "gemini-2.5-pro"]}
    assert api("POST", "/prices/fill", taken).json["total"] == 2
    again = api("POST", "/prices/fill", {}).json
    now = {price["model"]: price["outcome"] for price in again["prices"]}
    assert now == outcomes | {"gpt-4.1": "same", "gemini-2.5-pro": "same"}
    (listed,) = api("GET", "/prices?model=gemini-2.5-pro").json["prices"]
    assert listed["tiers"][0]["above"] == 200_000
    counts = {"input_tokens": 300_000, "output_tokens": 1000}
    ours = charge(provider="google", model="gemini-2.5-pro", **counts)
    other = find_listed("google", "gemini-2.5-pro")
    assert ours == (Source.TABLE, cost(Usage(**counts), other.rates(utcnow())))


@on_sqlite
def test_what_a_call_would_be_charged_by(api: Api) -> None:
    row = {"valid_from": SPRING.isoformat(), "input_per_1m": "3"}
    assert api("POST", "/prices", ROW | row).status_code == 201
    path = f"/prices/effective?provider=openai&model={NEVER_LISTED}"
    now = api("GET", path).json
    assert now["source"] == "table"
    assert now["rates"] == {
        "source": "table",
        "currency": "USD",
        "input_per_1m": "3",
        "output_per_1m": "15",
    }
    before = api("GET", f"{path}&at=2025-03-31T23:59:59Z").json
    assert (before["source"], before["rates"]) == (None, None)
    batch = "/prices/effective?provider=openai&model=gpt-4.1&service_tier=batch"
    assert api("GET", batch).json["rates"]["input_per_1m"] == "1"
    assert api("GET", "/prices/effective?provider=openai").status_code == 422
