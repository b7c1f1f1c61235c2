"""What a call costs, exactly. Pure: decimals in, decimals out, no float anywhere.

The sense of the counts is OpenTelemetry's: ``input_tokens`` includes cached ones and those written
to a cache, ``output_tokens`` includes reasoning. Nothing is charged twice: what has a rate of its
own is taken out of the count that includes it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, Inexact, InvalidOperation
from enum import StrEnum
from typing import Any

CURRENCY = "USD"
PLACES = Decimal("1e-18")
"""What a cost is kept to. Rates a token of at most 18 places give it without rounding."""

# Decimal's default context rounds to 28 digits; here a digit lost would be an error instead.
_EXACT = Context(prec=120, traps=[InvalidOperation, DivisionByZero, Inexact])
_ROUNDING = Context(prec=120, rounding=ROUND_HALF_EVEN)
_ZERO = Decimal(0)


class Source(StrEnum):
    """Where rates come from, in the order in which they are asked."""

    STEP = "step"
    TABLE = "table"
    CATALOGUE = "catalogue"
    SELF_HOSTED = "self_hosted"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRates:
    """Money a token of each class; None = not stated, 0 = free."""

    input: Decimal | None = None
    cached_input: Decimal | None = None
    """Read from a cache; not stated = the input rate."""
    cache_write: Decimal | None = None
    """Written to a cache, for five minutes or so; not stated = the input rate."""
    cache_write_1h: Decimal | None = None
    """Written for an hour; not stated = the rate of ``cache_write``."""
    output: Decimal | None = None
    reasoning: Decimal | None = None
    """Not stated = the output rate."""


INPUT_SIDE = ("input", "cached_input", "cache_write", "cache_write_1h")
OUTPUT_SIDE = ("output", "reasoning")
TOKEN_CLASSES = tuple(field.name for field in fields(TokenRates))
NO_TOKEN_RATES = TokenRates()


@dataclass(frozen=True, slots=True)
class Tier:
    """The rates of a whole call whose input is longer than ``above`` tokens: a cliff."""

    above: int
    rates: TokenRates


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """All that a call is charged by."""

    source: Source
    base: TokenRates = NO_TOKEN_RATES
    tiers: tuple[Tier, ...] = ()
    """By their thresholds, ascending."""
    per_request: Decimal | None = None
    """A fee for each call; None = none."""
    web_search: Decimal | None = None
    """Money a search; None = not known."""
    currency: str = CURRENCY

    def at(self, input_tokens: int) -> TokenRates:
        """The rates of a call with this much input. A threshold itself is still below it."""
        for tier in reversed(self.tiers):
            if input_tokens > tier.above:
                return tier.rates
        return self.base

    def as_dict(self) -> dict[str, Any]:
        """What is stored beside a cost and shown: decimal strings, named with their unit."""
        tiers = [{"above": tier.above, **_per_1m(tier.rates)} for tier in self.tiers]
        fees = {"per_request": self.per_request, "web_search_per_1k": shifted(self.web_search, 3)}
        return {
            "source": self.source.value,
            "currency": self.currency,
            **_per_1m(self.base),
            **{name: text_of(fee) for name, fee in fees.items() if fee is not None},
            **({"tiers": tiers} if tiers else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a call used. Raises ValueError where the counts cannot be true."""

    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    """Part of ``cache_write_tokens``."""
    output_tokens: int = 0
    reasoning_tokens: int = 0
    web_searches: int = 0
    requests: int = 1

    def __post_init__(self) -> None:
        if problem := find_problem(self):
            raise ValueError(": ".join(problem))


def find_problem(usage: Any) -> tuple[str, str] | None:
    """The count that cannot be true, by its name, and why; None where all can.

    ``usage`` is anything that has Usage's counts.
    """
    if usage.cached_input_tokens > usage.input_tokens:
        return "cached_input_tokens", "More than input_tokens, which include them."
    if usage.cached_input_tokens + usage.cache_write_tokens > usage.input_tokens:
        return "cache_write_tokens", "With cached_input_tokens more than input_tokens."
    if usage.cache_write_1h_tokens > usage.cache_write_tokens:
        return "cache_write_1h_tokens", "More than cache_write_tokens, which include them."
    if usage.reasoning_tokens > usage.output_tokens:
        return "reasoning_tokens", "More than output_tokens, which include them."
    negative = (name for name in Usage.__slots__ if getattr(usage, name) < 0)
    name = next(negative, None)
    return (name, "Less than 0.") if name else None


def cost(usage: Usage, rates: Rates) -> Decimal | None:
    """The money for one call, to 18 decimal places; None where something used has no known rate."""
    total = _ZERO
    for count, rate in _charges(usage, rates):
        if not count:
            continue
        if rate is None:
            return None
        total = _EXACT.fma(rate, count, total)
    exponent = total.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -18:
        return total.quantize(PLACES, context=_ROUNDING)
    return total


def completed(own: Rates, other: Rates) -> Rates:
    """``own``, and from ``other`` what it leaves open.

    A side is taken as a whole: whoever states the input rate says by what is missing beside it that
    cached tokens cost as much.
    """
    above = sorted({tier.above for tier in (*own.tiers, *other.tiers)})
    return replace(
        own,
        base=_completed(own.base, other.base),
        tiers=tuple(Tier(n, _completed(own.at(n + 1), other.at(n + 1))) for n in above),
        per_request=other.per_request if own.per_request is None else own.per_request,
        web_search=other.web_search if own.web_search is None else own.web_search,
    )


def shifted(amount: Decimal | None, power: int) -> Decimal | None:
    """The amount for ten to ``power`` of what it is for: -6 makes a rate of a price a million."""
    return None if amount is None else amount.scaleb(power, context=_EXACT)


def is_complete(rates: Rates) -> bool:
    """Whether another source could add nothing."""
    stated = (rates.base.input, rates.base.output, rates.per_request, rates.web_search)
    return all(rate is not None for rate in stated)


def _charges(usage: Usage, rates: Rates) -> Iterator[tuple[int, Decimal | None]]:
    """Each class of what was used, counted once, with its rate."""
    at = rates.at(usage.input_tokens)
    cached, written = usage.cached_input_tokens, usage.cache_write_tokens
    write = at.input if at.cache_write is None else at.cache_write
    write_1h = write if at.cache_write_1h is None else at.cache_write_1h
    yield usage.input_tokens - cached - written, at.input
    yield cached, at.input if at.cached_input is None else at.cached_input
    yield written - usage.cache_write_1h_tokens, write
    yield usage.cache_write_1h_tokens, write_1h
    yield usage.output_tokens - usage.reasoning_tokens, at.output
    yield usage.reasoning_tokens, at.output if at.reasoning is None else at.reasoning
    yield usage.web_searches, rates.web_search
    yield usage.requests, rates.per_request or _ZERO


def _completed(own: TokenRates, other: TokenRates) -> TokenRates:
    taken: dict[str, Decimal | None] = {}
    for side in (INPUT_SIDE, OUTPUT_SIDE):
        whole = getattr(own, side[0]) is not None
        for name in side:
            stated = getattr(own, name)
            taken[name] = stated if whole or stated is not None else getattr(other, name)
    return TokenRates(**taken)


def _per_1m(rates: TokenRates) -> dict[str, str]:
    amounts = {name: shifted(getattr(rates, name), 6) for name in TOKEN_CLASSES}
    return {f"{name}_per_1m": text_of(it) for name, it in amounts.items() if it is not None}


def text_of(amount: Decimal) -> str:
    """Plain digits without trailing zeros."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
