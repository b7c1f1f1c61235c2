"""Usage over REST: what is taken, what is not, and what it came to."""

from typing import Any
from uuid import uuid4

from tests.conftest import Api

NOON = "2026-03-10T12:00:00+00:00"


def event(**values: Any) -> dict[str, Any]:
    """A good event; a value of ... leaves a field out."""
    given = {
        "event_id": str(uuid4()),
        "agent_id": "default",
        "provider": "openai",
        "model": "gpt-4.1",
        "started_at": NOON,
        "status": "ok",
        "input_tokens": 1000,
        "output_tokens": 100,
    } | values
    return {name: value for name, value in given.items() if value is not ...}


def test_an_event_counts_at_once_and_once(api: Api) -> None:
    one = event()
    answer = api("POST", "/usage", {"events": [one, event(event_id="other")]})
    assert (answer.status_code, answer.json) == (
        200,
        {"accepted": 2, "duplicates": 0, "rejected": []},
    )
    again = api("POST", "/usage", {"events": [one, one]}).json
    assert again == {"accepted": 0, "duplicates": 2, "rejected": []}
    total = api("GET", "/usage/summary").json["total"]
    assert (total["calls"], total["input_tokens"]) == (2, 2000)
    listed = api("GET", "/usage/events").json
    assert listed["total"] == 2
    assert {it["event_id"] for it in listed["events"]} == {one["event_id"], "other"}
