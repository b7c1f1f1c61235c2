"""What the tests of usage share."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from app.accounts.gate import Caller
from app.usage.ingestion import Receipt, ingest
from app.usage.reach import Reach

EVERYBODY = Caller(actor="test", permissions=frozenset())
Report = Callable[..., Receipt]


def event(started_at: str = "2026-03-10T12:00:00Z", **values: Any) -> dict[str, Any]:
    """A good event."""
    return {
        "event_id": str(uuid4()),
        "agent_id": "default",
        "provider": "openai",
        "model": "gpt-4.1",
        "started_at": started_at,
        "status": "ok",
        "input_tokens": 1000,
        "output_tokens": 100,
        **values,
    }


@pytest.fixture
def report() -> Report:
    """``report(event, ...)``: all of them are taken."""

    def call(*events: dict[str, Any]) -> Receipt:
        receipt = ingest(events, Reach(EVERYBODY))
        assert receipt.accepted == len(events), receipt
        return receipt

    return call
