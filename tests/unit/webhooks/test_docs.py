"""docs/webhooks.md says what the code does: its verification, its table, its schedule."""

import re
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.health.damping import TURNS, WINDOW
from app.webhooks.delivery import BACKOFF, KEEP_FOR
from app.webhooks.models import EventType
from app.webhooks.signing import new_secret, sign_headers

PAGE = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text()
UNITS = {"s": "seconds", "min": "minutes", "h": "hours"}

Verify = Callable[[str, dict[str, str], bytes], bool]


@pytest.fixture
def verify() -> Verify:
    """The page's own function."""
    (source,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(source, names)
    found: Verify = names["verify"]
    return found


def test_what_the_page_verifies_with_verifies(verify: Verify) -> None:
    secret, now = new_secret(), int(time.time())
    headers = sign_headers(secret, "msg_1", now, b"{}")
    assert verify(secret, headers, b"{}")
    assert not verify(secret, headers, b"{ }")
    assert not verify(new_secret(), headers, b"{}")
    assert not verify(secret, headers | {"webhook-id": "msg_2"}, b"{}")
    assert not verify(secret, sign_headers(secret, "msg_1", now - 400, b"{}"), b"{}")


def test_every_event_is_in_the_table() -> None:
    assert re.findall(r"^\| `([a-z]+\.[a-z]+)` \|", PAGE, re.MULTILINE) == [*EventType]


def test_figures_are_the_codes() -> None:
    (text,) = re.findall(r"Tried eight times\*\*: after (.*?)\. Then", PAGE, re.DOTALL)
    times = re.findall(r"(\d+) (s|min|h)", text)
    assert tuple(timedelta(**{UNITS[unit]: int(n)}) for n, unit in times) == BACKOFF
    assert len(BACKOFF) + 1 == 8
    assert f"the last {KEEP_FOR.days} days" in PAGE
    assert f"more than {TURNS} times within {WINDOW} check intervals" in PAGE
