"""The bundled catalogue (genai-prices): public list prices, by provider and model. No I/O.

Never by the model's name alone: `deepseek-r1:7b` on somebody's own machine is not the paid model.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices, TimeOfDateConstraint

from app.prices.cost import Rates, Source, Tier, TokenRates, shifted

IDS = {
    "anthropic": "anthropic",
    "deepseek": "deepseek",
    "google": "google",
    "grok": "x-ai",
    "groq": "groq",
    "mistral": "mistral",
    "openai": "openai",
    "openrouter": "openrouter",
}
"""The catalogue's id of a provider type. Ollama and vLLM are nobody's: they run at home."""
BY_URL = frozenset({"openai_compatible"})
"""Types that say nothing about who it is; the address may."""
KEYS = {
    "input": "input_mtok",
    "cached_input": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "output": "output_mtok",
    "reasoning": "output_reasoning_mtok",
}
"""The catalogue's name of each class of tokens; its prices are per million."""

DAY = {"hour": 0, "minute": 0, "second": 0, "microsecond": 0}
MINUTE = {"second": 0, "microsecond": 0}

Context = tuple[tuple[str, str], ...]
STANDARD: Context = ()
Amount = Decimal | TieredPrices | None


@dataclass(frozen=True, eq=False)
class Listed:
    """A model as a provider sells it."""

    info: ModelInfo
    grain: dict[str, int] | None
    """What of a moment its price does not depend on; None where it depends on no moment."""
    is_own: bool
    """Sold by this provider itself; of another one's models only the standard price is known."""

    @property
    def is_by_the_hour(self) -> bool:
        """Whether it costs more at some times of the day than at others."""
        return self.grain is MINUTE

    def moment(self, at: datetime) -> datetime | None:
        """``at`` as far as the price depends on it: calls of one moment cost the same."""
        return None if self.grain is None else at.astimezone(UTC).replace(**self.grain)  # type: ignore[arg-type]

    def rates(self, at: datetime, context: Context = STANDARD) -> Rates | None:
        """The list price then, or None where it is not by the token."""
        return _rates(self, self.moment(at), context if self.is_own else STANDARD)


def catalogue_id(provider_type: str, base_url: str | None = None) -> str | None:
    """Who this is to the catalogue, or None where it knows nobody like that."""
    if provider_type not in BY_URL or base_url is None:
        return IDS.get(provider_type)
    matching = (it.id for it in get_snapshot().providers if re.match(it.api_pattern, base_url))
    return next(matching, None)


def context_of(service_tier: str | None, processing: str | None) -> Context:
    """What of a call decides between price variants: how fast, or how late, it was answered.

    Clients say `batch` and `flex` in either field, the catalogue each in its own.
    """
    said = {service_tier, processing}
    tier = "flex" if "flex" in said else service_tier
    batch = (("processing", "batch"),) if "batch" in said else ()
    return batch + ((("service_tier", tier),) if tier and tier != "batch" else ())


@lru_cache(maxsize=4096)
def find_listed(provider_id: str, model: str) -> Listed | None:
    """The model in the provider's list, or None."""
    providers = get_snapshot().providers
    provider = next((it for it in providers if it.id == provider_id), None)
    info = provider.find_model(model, all_providers=providers) if provider else None
    if provider is None or info is None:
        return None
    return Listed(info, _grain(info), any(info is own for own in provider.models))


def _grain(info: ModelInfo) -> dict[str, int] | None:
    prices = [] if isinstance(info.prices, ModelPrice) else info.prices
    parts: list[Any] = [*prices, *(info.price_variants or ())]
    constraints = [part.constraint for part in parts if part.constraint is not None]
    if not constraints:
        return None
    by_hours = any(isinstance(it, TimeOfDateConstraint) for it in constraints)
    return MINUTE if by_hours else DAY


@lru_cache(maxsize=16_384)
def _rates(listed: Listed, moment: datetime | None, context: Context) -> Rates | None:
    price = listed.info.get_prices(moment or datetime.now(UTC), dict(context) or None)
    amounts: dict[str, Amount] = {name: getattr(price, key) for name, key in KEYS.items()}
    if amounts["input"] is None and amounts["output"] is None:
        return None
    above = {
        tier.start for it in amounts.values() if isinstance(it, TieredPrices) for tier in it.tiers
    }
    return Rates(
        source=Source.CATALOGUE,
        base=_token_rates(amounts, 0),
        tiers=tuple(Tier(start, _token_rates(amounts, start + 1)) for start in sorted(above)),
        per_request=_unit(price.requests_kcount, 0, -3),
        web_search=_unit(price.web_searches_kcount, 0, -3),
    )


def _token_rates(amounts: dict[str, Amount], input_tokens: int) -> TokenRates:
    return TokenRates(**{name: _unit(it, input_tokens, -6) for name, it in amounts.items()})


def _unit(amount: Amount, input_tokens: int, power: int) -> Decimal | None:
    """What one of the priced thing costs in a call with this much input."""
    if isinstance(amount, TieredPrices):
        reached = [tier.price for tier in amount.tiers if input_tokens > tier.start]
        amount = reached[-1] if reached else amount.base
    return shifted(amount, power)
