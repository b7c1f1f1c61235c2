"""Usage over REST: what is taken, what is not, and what it came to."""

import csv
import gzip
import io
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.core.clock import utcnow
from tests.conftest import ADMIN_EMAIL, ADMIN_TOKEN, Api
from tests.contract.conftest import MakeToken, MakeUser, SignIn, on_sqlite

NOON = "2026-03-10T12:00:00+00:00"
Send = Callable[..., dict[str, Any]]


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


@pytest.fixture
def send(api: Api) -> Send:
    """``send(event, ...)``: report events, answer the receipt."""

    def call(*events: Any, **options: Any) -> dict[str, Any]:
        answer = api("POST", "/usage", {"events": list(events)}, **options)
        assert answer.status_code == 200, answer.text
        receipt: dict[str, Any] = answer.json
        return receipt

    return call


def stored(api: Api, event_id: str) -> dict[str, Any]:
    listed = api("GET", "/usage/events?page_size=200").json["events"]
    [found] = [it for it in listed if it["event_id"] == event_id]
    return dict(found)


def test_an_event_counts_at_once_and_once(api: Api, send: Send) -> None:
    one, other = event(), event(event_id="any text will do")
    assert send(one, other) == {"accepted": 2, "duplicates": 0, "rejected": []}
    assert send(one, one) == {"accepted": 0, "duplicates": 2, "rejected": []}
    assert send(dict(reversed(one.items())) | {"task": None})["duplicates"] == 1
    total = api("GET", "/usage/summary").json["total"]
    assert (total["calls"], total["input_tokens"], total["output_tokens"]) == (2, 2000, 200)
    listed = api("GET", "/usage/events").json
    assert listed["total"] == 2
    assert {it["event_id"] for it in listed["events"]} == {one["event_id"], other["event_id"]}


@on_sqlite
def test_one_id_for_two_events_is_refused(api: Api, send: Send) -> None:
    one = event(event_id="e", input_tokens=1)
    twin = one | {"input_tokens": 2}
    receipt = send(one, one, twin)
    assert (receipt["accepted"], receipt["duplicates"]) == (1, 1)
    receipt["rejected"] += send(twin)["rejected"]
    assert [(it["index"], it["code"]) for it in receipt["rejected"]] == [
        (2, "conflict"),
        (0, "conflict"),
    ]
    assert stored(api, "e")["input_tokens"] == 1


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"input_tokens": -1}, "out_of_range", "input_tokens"),
    ({"input_tokens": 10**30}, "out_of_range", "input_tokens"),
    ({"input_tokens": float("nan")}, "invalid", "input_tokens"),
    ({"input_tokens": float("inf")}, "invalid", "input_tokens"),
    ({"input_tokens": 1.5}, "invalid", "input_tokens"),
    ({"input_tokens": "1"}, "invalid", "input_tokens"),
    ({"input_tokens": True}, "invalid", "input_tokens"),
    ({"input_tokens": [[[[1]]]]}, "invalid", "input_tokens"),
    ({"latency_ms": -1}, "out_of_range", "latency_ms"),
    ({"attempt": 1e3}, "invalid", "attempt"),
    ({"config_version": 2**53 + 1}, "out_of_range", "config_version"),
    ({"cached_input_tokens": 1001}, "contradiction", "cached_input_tokens"),
    ({"cached_input_tokens": 600, "cache_write_tokens": 600}, "contradiction", "cache_write"),
    ({"reasoning_tokens": 101}, "contradiction", "reasoning_tokens"),
    ({"cache_write_tokens": 1, "cache_write_1h_tokens": 2}, "contradiction", "cache_write_1h"),
    ({"started_at": "1970-01-01T00:00:00Z"}, "out_of_range", "started_at"),
    ({"started_at": "2019-12-31T23:59:59.999999Z"}, "out_of_range", "started_at"),
    ({"started_at": "9999-12-31T23:59:59Z"}, "out_of_range", "started_at"),
    ({"started_at": "9999-12-31T23:59:59-12:00"}, "out_of_range", "started_at"),
    ({"started_at": "2026-03-10T12:00:00"}, "invalid", "started_at"),
    ({"started_at": "yesterday"}, "invalid", "started_at"),
    ({"started_at": 1773144000}, "invalid", "started_at"),
    ({"status": "done"}, "invalid", "status"),
    ({"status": {}}, "invalid", "status"),
    ({"agent_id": "No Slug"}, "invalid", "agent_id"),
    ({"agent_id": "a" * 65}, "invalid", "agent_id"),
    ({"agent_id": 7}, "invalid", "agent_id"),
    ({"model": "m" * 257}, "too_long", "model"),
    ({"model": ""}, "missing", "model"),
    ({"model": "a\x00b"}, "invalid", "model"),
    ({"task": "a\ud800b"}, "invalid", "task"),
    ({"event_id": "x" * 65}, "too_long", "event_id"),
    ({"event_id": ...}, "missing", "event_id"),
    ({"event_id": None}, "missing", "event_id"),
    ({"provider": ...}, "missing", "provider"),
    ({"status": ...}, "missing", "status"),
    ({"cost": "0.01"}, "unknown_field", "cost"),
]


@on_sqlite
def test_a_bad_event_is_named_and_the_rest_is_kept(api: Api, send: Send) -> None:
    good = event()
    bad = [event(**values) for values, _code, _field in WRONG]
    receipt = send(*bad, "no object", None, good)
    assert receipt["accepted"] == 1
    codes = [(it["index"], it["code"]) for it in receipt["rejected"]]
    expected = [code for _values, code, _field in WRONG]
    assert codes == list(enumerate([*expected, "invalid", "invalid"]))
    for (_values, _code, field), told in zip(WRONG, receipt["rejected"], strict=False):
        assert field in told["message"]
    assert api("GET", "/usage/events").json["total"] == 1


def test_what_is_odd_but_right_is_taken(api: Api, send: Send) -> None:
    receipt = send(
        event(started_at="2020-01-01T00:00:00Z"),
        event(started_at="2026-03-10T12:00:00.123456+05:45"),
        event(input_tokens=2**31 - 1),
        event(input_tokens=..., output_tokens=...),
        event(task="Ünï 🚂\u00a0", model="org/model:7b-instruct@latest", response_model=None),
        event(status="error", error_class="ConnectTimeout"),
        event(status="failure", error_class="ConnectTimeout"),
        event(requested_agent_id="somebody-unknown", agent_id="somebody-deleted"),
    )
    assert receipt == {"accepted": 8, "duplicates": 0, "rejected": []}
    assert api("GET", "/usage/summary").json["total"]["errors"] == 2


ZIPPED = gzip.compress(b" " * 2**20, mtime=0)  # the same in every process


@on_sqlite
@pytest.mark.parametrize(
    ("body", "headers", "status", "said"),
    [
        (b'{"events": [' + b"0," * 1000 + b"0]}", {}, 413, "1000"),
        (b'{"events": ["' + b"x" * 16 * 2**20 + b'"]}', {}, 413, ""),
        (ZIPPED, {"Content-Encoding": "gzip"}, 415, "Content-Encoding"),
        (ZIPPED, {}, 400, "UTF-8"),
        (b'{"events": [{"a": 1, "a": 2}]}', {}, 400, "twice"),
        (b'{"events": [' + b"[" * 5000 + b"]" * 5000 + b"]}", {}, 400, "deep"),
        (b'{"events": [1' + b"0" * 5000 + b"]}", {}, 400, ""),
        (b'{"events": NaN}', {}, 400, "NaN"),
        (b'{"events": {}}', {}, 422, "events"),
        (b'{"events": [], "more": 1}', {}, 422, "more"),
        (b"{}", {}, 422, "events"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_batch_that_is_none_is_refused(
    api: Api, body: bytes, headers: dict[str, str], status: int, said: str
) -> None:
    headers = {"Content-Type": "application/json", **headers}
    answer = api("POST", "/usage", data=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert said in answer.text
    assert api("GET", "/usage/events").json["total"] == 0


@on_sqlite
def test_nothing_good_is_stored_of_nothing(send: Send) -> None:
    assert send() == {"accepted": 0, "duplicates": 0, "rejected": []}
    assert send("bad")["accepted"] == 0


@on_sqlite
def test_a_deleted_agent_is_still_counted(api: Api, send: Send) -> None:
    api("POST", "/agents", {"name": "Gone", "llm_provider": "ollama", "llm_model": "m"})
    assert api("DELETE", "/agents/gone").status_code == 200
    assert send(event(agent_id="gone"))["accepted"] == 1
    assert api("GET", "/usage/summary?group_by=agent").json["rows"][0]["agent_id"] == "gone"


@on_sqlite
def test_a_bound_token_reports_for_its_own(api: Api, make_token: MakeToken, send: Send) -> None:
    for name in ("mine", "other"):
        api("POST", "/agents", {"name": name, "llm_provider": "ollama", "llm_model": "m"})
    token = make_token("usage:write", "config:read", agents=["mine"])
    receipt = send(
        event(agent_id="mine"),
        event(agent_id="other"),
        event(agent_id="default", requested_agent_id="mine"),  # the default answered for it
        event(agent_id="default"),
        event(agent_id="other", requested_agent_id="mine"),  # no default: somebody else's bill
        event(agent_id="mine", input_tokens=-1),
        token=token,
    )
    assert receipt["accepted"] == 2
    assert [(it["index"], it["code"]) for it in receipt["rejected"]] == [
        (1, "forbidden"),
        (3, "forbidden"),
        (4, "forbidden"),
        (5, "out_of_range"),
    ]
    assert "'other'" in receipt["rejected"][0]["message"]
    send(event(agent_id="other"))
    for path in ("/usage/summary", "/usage/summary?group_by=model,day"):
        assert api("GET", path, token=token).json["total"]["calls"] == 1
    assert api("GET", "/usage/events", token=token).json["total"] == 1
    assert api("GET", "/usage/events?agent_id=other", token=token).status_code == 403
    assert api("GET", "/usage/summary?agent_id=other", token=token).status_code == 403


@on_sqlite
def test_the_default_of_a_tokens_person_answers_for_what_is_not_there(
    api: Api, make_user: MakeUser, make_token: MakeToken, send: Send
) -> None:
    ann = make_user("ann@example.com", "viewer")
    own = {"llm_provider": "ollama", "llm_model": "m", "owner_id": ann, "is_default": True}
    assert api("POST", "/agents", {"name": "anns", **own}).status_code == 201
    call = event(agent_id="anns", requested_agent_id="gone")
    anns = make_token("usage:write", agents=["gone"], user_id=ann)
    nobodys = make_token("usage:write", agents=["gone"])
    assert send(call, token=nobodys)["rejected"][0]["code"] == "forbidden"
    assert send(call, token=anns)["accepted"] == 1


@on_sqlite
def test_a_viewer_sees_what_is_theirs_and_what_is_nobodys(
    api: Api, send: Send, make_user: MakeUser, sign_in: SignIn
) -> None:
    mine, other = make_user("viewer@example.com"), make_user("other@example.com")
    for name, owner in (("mine", mine), ("theirs", other), ("nobodys", None)):
        api("POST", "/agents", {"name": name, "owner_id": owner})
        send(event(agent_id=name))
    viewer = sign_in("viewer@example.com")
    rows = viewer("GET", "/usage/summary?group_by=agent").json["rows"]
    assert [row["agent_id"] for row in rows] == ["mine", "nobodys"]
    assert viewer("GET", "/usage/summary?group_by=day").json["total"]["calls"] == 2
    assert viewer("GET", "/usage/events").json["total"] == 2
    assert viewer("GET", "/usage/events?agent_id=theirs").json["total"] == 0
    assert "theirs" not in viewer("GET", "/usage/events.csv").text


@on_sqlite
def test_a_clock_that_is_ahead_is_told_of(api: Api, send: Send) -> None:
    now = utcnow()
    ahead = {"slow": 4, "fast": 10, "broken": 25 * 60}
    events = [
        event(event_id=name, started_at=(now + timedelta(minutes=minutes)).isoformat())
        for name, minutes in ahead.items()
    ]
    receipt = send(*events)
    assert [(it["index"], it["code"]) for it in receipt["rejected"]] == [(2, "out_of_range")]
    assert stored(api, "slow")["clock_skew"] is False
    assert stored(api, "fast")["clock_skew"] is True
    assert api("GET", "/usage/summary").json["total"]["calls"] == 2


@on_sqlite
def test_what_a_call_cost_is_kept_with_its_rates(api: Api, send: Send) -> None:
    prices = {"cost_per_1k_input_tokens": "0.0025", "cost_per_1k_output_tokens": "0.01"}
    chain = [
        {"provider": "openai", "model_name": "my-model", **prices},
        {"provider": "ollama", "model_name": "llama"},
    ]
    api("POST", "/agents", {"name": "Priced"})
    assert api("PUT", "/agents/priced/llm-configs", {"llm_configs": chain}).status_code == 200
    send(
        event(event_id="own", agent_id="priced", model="my-model", input_tokens=3),
        event(event_id="of another agent", model="my-model"),
        event(event_id="at home", agent_id="priced", provider="ollama", model="llama", attempt=1),
        event(event_id="listed"),
        event(event_id="unknown", provider="nobody", model="gpt-4.1"),
    )
    own = stored(api, "own")
    # 3 x 0.0025 / 1000 + 100 x 0.01 / 1000
    assert (own["cost"], own["currency"], own["price_source"]) == ("0.0010075", "USD", "step")
    assert (own["rates"]["input_per_1m"], own["rates"]["output_per_1m"]) == ("2.5", "10")
    assert stored(api, "of another agent")["cost"] is None
    home = stored(api, "at home")
    assert (home["cost"], home["price_source"]) == ("0", "self_hosted")
    assert stored(api, "listed")["price_source"] == "catalogue"
    unknown = stored(api, "unknown")
    assert (unknown["cost"], unknown["price_source"], unknown["rates"]) == (None, None, None)
    total = api("GET", "/usage/summary").json["total"]
    assert total["unpriced_calls"] == 2
    listed = Decimal(stored(api, "listed")["cost"])
    assert Decimal(total["cost"]) == listed + Decimal("0.0010075")
    # What was charged stays charged.
    api("PUT", "/agents/priced/llm-configs", {"llm_configs": chain[1:]})
    assert stored(api, "own") == own


def test_a_step_s_own_prices_hold_for_its_provider_s_type_as_well(api: Api, send: Send) -> None:
    for name in ("openai", "ours"):
        api("POST", "/providers", {"name": name, "type": "openai", "api_key": "sk"})
    own = {"cost_per_1k_input_tokens": "1", "cost_per_1k_output_tokens": "0"}
    step = {"provider": "ours", "model_name": "gpt-4.1", **own}
    api("POST", "/agents", {"name": "Priced"})
    assert api("POST", "/agents/priced/llm-configs", step).status_code == 201
    for name in ("ours", "openai", "OpenAI"):
        send(event(event_id=name, agent_id="priced", provider=name))
        assert (stored(api, name)["cost"], stored(api, name)["price_source"]) == ("1", "step")
    # A step of the provider that has the name goes before one of its type.
    api("POST", "/agents/priced/llm-configs", step | {"provider": "openai"} | dict.fromkeys(own, 0))
    send(event(event_id="named", agent_id="priced"))
    assert stored(api, "named")["cost"] == "0"


@on_sqlite
def test_of_two_steps_of_one_model_the_one_in_its_place_is_charged(api: Api, send: Send) -> None:
    step = {"provider": "openai", "model_name": "m", "cost_per_1k_output_tokens": "0"}
    chain = [step | {"cost_per_1k_input_tokens": price} for price in ("1", "2")]
    api("POST", "/agents", {"name": "Twice"})
    assert api("PUT", "/agents/twice/llm-configs", {"llm_configs": chain}).status_code == 200
    for attempt, cost in ((0, "1"), (1, "2"), (2, "1")):
        name = f"attempt {attempt}"
        send(event(event_id=name, agent_id="twice", model="m", attempt=attempt))
        assert stored(api, name)["cost"] == cost


def test_cents_do_not_get_lost(api: Api, send: Send) -> None:
    step = {"provider": "openai", "model_name": "m", "cost_per_1k_input_tokens": "0.000000003"}
    api("POST", "/agents", {"name": "a"})
    api("POST", "/agents/a/llm-configs", step | {"cost_per_1k_output_tokens": "1000"})
    tiny = [event(agent_id="a", model="m", input_tokens=1, output_tokens=...) for _ in range(3)]
    large = event(agent_id="a", model="m", input_tokens=..., output_tokens=900_000)
    assert send(*tiny, large)["accepted"] == 4
    for path in ("", "?group_by=agent,day", "?from=2026-03-10T12:00:00Z&to=2026-03-10T12:00:01Z"):
        total = api("GET", f"/usage/summary{path}").json["total"]
        assert total["cost"] == "900000.000000000009"
    slip = event(agent_id="a", model="m", input_tokens=..., output_tokens=1_000_001)
    assert send(slip)["rejected"][0]["code"] == "out_of_range"


def test_a_late_event_lands_in_its_own_day(api: Api, send: Send) -> None:
    send(event(started_at="2020-02-29T23:30:00Z"), event(started_at=utcnow().isoformat()))
    rows = api("GET", "/usage/summary?group_by=day").json["rows"]
    assert [(row["day"], row["calls"]) for row in rows] == [
        ("2020-02-29", 1),
        (utcnow().date().isoformat(), 1),
    ]
    rows = api("GET", "/usage/summary?group_by=day&to=2020-12-31&tz=Asia/Kolkata").json["rows"]
    assert [(row["day"], row["calls"]) for row in rows] == [("2020-03-01", 1)]


@on_sqlite
def test_a_day_is_whole_whichever_way_it_is_named(api: Api, send: Send) -> None:
    for at in ("2026-03-28T22:59:59Z", "2026-03-28T23:00:00Z", "2026-03-29T21:59:59.9Z"):
        send(event(started_at=at))
    send(event(started_at="2026-03-29T22:00:00Z"))  # that day has 23 hours in Berlin
    for period in (
        "from=2026-03-29&to=2026-03-29",
        "from=2026-03-29T00:00&to=2026-03-30T00:00",
        "from=2026-03-28T23:00:00Z&to=2026-03-29T22:00:00Z",
        "from=2026-03-28T23:00:00+00:00&to=2026-03-29T22:00+0000",  # there a plus is a blank
    ):
        found = api("GET", f"/usage/summary?{period}&tz=Europe/Berlin&group_by=day").json
        assert [(row["day"], row["calls"]) for row in found["rows"]] == [("2026-03-29", 2)]
        assert found["tz"] == "Europe/Berlin"
        events = api("GET", f"/usage/events?{period}&tz=Europe/Berlin").json
        assert events["total"] == 2


@on_sqlite
def test_rows_tell_everything_apart(api: Api, send: Send) -> None:
    send(
        event(task="triage", latency_ms=100, attempt=0, status="error", error_class="X"),
        event(task="triage", latency_ms=900, attempt=1, provider="anthropic", model="claude"),
        event(latency_ms=..., reasoning_tokens=7, cached_input_tokens=5, web_searches=2),
    )
    rows = api("GET", "/usage/summary?group_by=provider,task").json["rows"]
    repeated = api("GET", "/usage/summary?group_by=provider&group_by=task").json["rows"]
    assert repeated == rows
    assert [(it["provider"], it["task"], it["calls"]) for it in rows] == [
        ("anthropic", "triage", 1),
        ("openai", None, 1),
        ("openai", "triage", 1),
    ]
    assert (rows[0]["fallbacks"], rows[2]["errors"]) == (1, 1)
    assert (rows[1]["reasoning_tokens"], rows[1]["web_searches"]) == (7, 2)
    assert rows[1]["latency_ms"] == {"p50": None, "p95": None, "p99": None}
    assert rows[2]["latency_ms"]["p50"] == 100
    assert api("GET", "/usage/summary?task=triage").json["total"]["calls"] == 2
    assert api("GET", "/usage/summary?model=claude&group_by=agent").json["total"]["calls"] == 1
    assert api("GET", "/usage/events?status=error").json["total"] == 1


@on_sqlite
def test_a_question_without_sense_is_refused(api: Api) -> None:
    for query in (
        "group_by=nobody",
        "group_by=agent,agent",
        "tz=Mars/Olympus",
        "tz=../../etc/passwd",
        "tz=",
        "from=tomorrow",
        "from=9999-12-31T23:59:59-12:00",
        "to=9999-12-31",
        "to=2026-03-01T00:00:00Z&from=2026-03-02",
        "from=2026-13-01",
        "unknown=1",
    ):
        answer = api("GET", f"/usage/summary?{query}")
        assert answer.status_code == 422, answer.text
        assert query.partition("=")[0] in answer.json["errors"]["query"]


@on_sqlite
def test_an_empty_answer_is_one_too(api: Api) -> None:
    for query in (
        "from=0001-01-01",
        "to=9998-12-31",
        "from=2026-03-01&to=2026-03-01T05:00Z",
    ):
        for group_by in ("", "day", "agent,day"):
            answer = api("GET", f"/usage/summary?{query}&tz=America/New_York&group_by={group_by}")
            assert answer.status_code == 200, answer.text
            assert answer.json["rows"] == [], query
            assert (answer.json["total"]["calls"], answer.json["total"]["cost"]) == (0, "0")


def test_pages_and_exports_agree(api: Api, send: Send) -> None:
    risky = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", 'a,"b"\nc']
    send(
        *(event(task=task, started_at=f"2026-03-10T12:00:{n:02}Z") for n, task in enumerate(risky))
    )
    pages = [
        api("GET", f"/usage/events?page={page}&page_size=3").json["events"] for page in (1, 2, 3)
    ]
    listed = [it for page in pages for it in page]
    assert [it["task"] for it in listed] == risky[::-1]
    answer = api("GET", "/usage/events.csv")
    assert answer.content_type == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["event_id"] for row in rows] == [it["event_id"] for it in listed]
    assert [row["task"] for row in rows] == [risky[-1], *(f"'{it}" for it in risky[-2::-1])]
    total = api("GET", "/usage/summary").json["total"]["cost"]
    assert sum(Decimal(row["cost"]) for row in rows) == Decimal(total)
    answer = api("GET", "/usage/summary.csv?group_by=task")
    table = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert table[-1]["cost"] == total
    assert table[-1]["currency"] == "USD"
    assert sum(Decimal(row["cost"]) for row in table[:-1]) == Decimal(total)


@on_sqlite
def test_a_session_reports_where_its_role_may(make_user: MakeUser, sign_in: SignIn) -> None:
    make_user("operator@example.com", "operator")
    for person, status in (("operator@example.com", 403), (ADMIN_EMAIL, 200)):
        answer = sign_in(person)("POST", "/usage", {"events": [event()]})
        assert answer.status_code == status, answer.text


@on_sqlite
def test_usage_raises_no_rev(send: Send, rev: Callable[[], int]) -> None:
    before = rev()
    send(event())
    assert rev() == before


@on_sqlite
def test_what_cannot_be_stored_now_is_sent_away(app: Flask, http: FlaskClient) -> None:
    door = app.extensions["usage_intake"]
    door._patience = 0
    places = [door.enter() for _ in range(app.config["USAGE_INTAKE"])]
    for place in places:
        place.__enter__()
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    one = event()
    answer = http.post("/api/usage", json={"events": [one]}, headers=headers)
    assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (429, True)
    for place in places:
        place.__exit__(None, None, None)
    answer = http.post("/api/usage", json={"events": [one]}, headers=headers)
    assert answer.json["accepted"] == 1
