"""Patterns: what is let through, what is refused, and that refusing takes no time."""

import pytest

from app.tasks.patterns import MAX_COST, MAX_LENGTH, cost_of

USUAL = [
    "",
    r"^[a-z]+$",
    r"^(BUY|SELL|HOLD)$",
    r"^\w+(-\w+)*$",
    r"^(\d{1,3}\.){3}\d{1,3}$",
    r"^\d{4}-\d{2}-\d{2}$",
    r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$",
    r"^-?\d+(\.\d+)?([eE][+-]?\d+)?$",
    r"^https?://[^\s/]+(/[^\s]*)?$",
    r"^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$",
    r"^(?:foo|bar)*$",
    r"^(\w+, )*\w+$",
    r"^(?i:abc)$",
    r"^[^\W\d]\S\D?.*?$",
]
CATASTROPHIC = [
    r"(a+)+",
    r"^(a+)+$",
    r"(a*)*",
    r"(a|aa)+$",
    r"(a|a?)+$",
    r"([a-zA-Z]+)*$",
    r"(.*a){20}",
    r"^(\w+\s?)*$",
    r"(\d+|\w+)*z",
    r"(a{1,9}){1,9}",
    r"(x+x+)+y",
    r"(?:(?:a|b)*c?)*",
    r"(a?){30}a{30}",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"(é+)+",
]
NO_PATTERNS = {
    "(": "not a regular expression",
    "[z-a]": "not a regular expression",
    "*": "not a regular expression",
    r"\p{L}": "not a regular expression",
    "a{99999999999}": "not a regular expression",
    "(?=a)b": "not supported",
    "(?<!a)b": "not supported",
    r"(a)\1": "not supported",
    r"(a)?(?(1)b|c)": "not supported",
    r"a\Z": "do not support",
    "x" * (MAX_LENGTH + 1): "at most",
    "x{1001}": "add up",
    "(x{100}){100}": "add up",
    "(" + "|".join(f"{chr(97 + i % 26)}{i}" for i in range(60)) + ")*": "too complex",
}


@pytest.mark.parametrize("pattern", USUAL)
def test_usual_patterns_pass(pattern: str) -> None:
    assert cost_of(pattern) <= MAX_COST


@pytest.mark.parametrize("pattern", CATASTROPHIC)
def test_catastrophic_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="catastrophic"):
        cost_of(pattern)


@pytest.mark.parametrize(("pattern", "reason"), NO_PATTERNS.items(), ids=lambda text: text[:20])
def test_what_not_every_engine_runs_in_linear_time_is_refused(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        cost_of(pattern)


def test_the_cost_counts_repetitions() -> None:
    costs = {"abc": 3, "a{20}": 20, "(a{3}b){4}": 16, "a*b?": 2, "a|bc": 3}
    assert {pattern: cost_of(pattern) for pattern in costs} == costs
