"""Row A14: the red button."""

from flask import Flask
from flask.testing import FlaskClient

from tests.conftest import ADMIN_TOKEN, Api
from tests.contract.conftest import MakeToken


def halted(api: Api, agent_id: str) -> tuple[bool, str | None]:
    body = api("GET", f"/agents/{agent_id}/llm").json
    return body["halted"], body["halted_reason"]


def test_a_halted_agent_says_so_and_why_until_it_is_resumed(api: Api) -> None:
    api("POST", "/agents", {"name": "Trader", "llm_provider": "ollama", "llm_model": "m"})
    answer = api("POST", "/agents/trader/halt", {"reason": "loses money"})
    assert (answer.status_code, answer.json["halted"]) == (200, True)
    assert halted(api, "trader") == (True, "loses money")
    assert halted(api, "default") == (False, None)

    assert api("POST", "/agents/trader/resume").json["halted"] is False
    assert halted(api, "trader") == (False, None)


def test_the_button_needs_no_words(http: FlaskClient, api: Api) -> None:
    api("POST", "/agents", {"name": "Trader", "llm_provider": "ollama", "llm_model": "m"})
    bearer = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    answer = http.post("/api/agents/trader/halt", headers=bearer)
    assert (answer.status_code, answer.json and answer.json["halted"]) == (200, True)
    assert http.post("/api/halt", headers=bearer, content_type="application/json").json == {
        "halted": True,
        "halted_reason": None,
        "halted_at": api("GET", "/halt").json["halted_at"],
        "halted_agents": 1,
    }


def test_a_halted_agent_stays_halted_behind_its_default(api: Api) -> None:
    api("POST", "/agents", {"name": "Trader", "is_active": False})
    api("POST", "/agents/trader/halt", {"reason": "no"})
    body = api("GET", "/agents/trader/llm").json
    assert (body["source"], body["halted"], body["halted_reason"]) == ("default", True, "no")


def test_the_button_for_all_halts_agents_still_to_come(api: Api) -> None:
    assert api("POST", "/halt", {"reason": "flash crash"}).json["halted"] is True
    api("POST", "/agents", {"name": "Late", "llm_provider": "ollama", "llm_model": "m"})
    assert halted(api, "late") == halted(api, "default") == (True, "flash crash")
    assert halted(api, "unknown-agent") == (True, "flash crash")
    assert api("GET", "/agents/late").json["halted"] is True
    assert api("GET", "/halt").json["halted_reason"] == "flash crash"

    api("POST", "/resume")
    assert halted(api, "late") == (False, None)


def test_resuming_all_leaves_those_halted_one_by_one(api: Api) -> None:
    api("POST", "/agents/default/halt", {"reason": "mine"})
    api("POST", "/halt", {"reason": "all"})
    assert halted(api, "default") == (True, "all")
    api("POST", "/resume")
    assert halted(api, "default") == (True, "mine")


def test_the_button_counts_those_halted_one_by_one_that_a_token_is_for(
    api: Api, make_token: MakeToken
) -> None:
    for name in ("One", "Two", "Three"):
        api("POST", "/agents", {"name": name})
    assert api("GET", "/halt").json["halted_agents"] == 0
    for slug in ("one", "two"):
        api("POST", f"/agents/{slug}/halt", {"reason": None})
    assert api("GET", "/halt").json["halted_agents"] == 2
    bound = make_token("config:read", agents=["two", "three"])
    assert api("GET", "/halt", token=bound).json["halted_agents"] == 1
    for path in ("/halt", "/resume"):
        body = {} if path == "/halt" else None
        assert api("POST", path, body).json["halted_agents"] == 2, "none of them is touched"


def test_halting_raises_a_rev_and_says_who(app: Flask, api: Api) -> None:
    before = api("GET", "/agents/default/llm").json
    api("POST", "/agents/default/halt", {"reason": None})
    after = api("GET", "/agents/default/llm").json
    assert after["rev"] == after["config_version"] == before["rev"] + 1


def test_an_unknown_agent_is_404_and_a_long_reason_422(api: Api) -> None:
    assert api("POST", "/agents/nobody/halt", {}).status_code == 404
    answer = api("POST", "/halt", {"reason": "x" * 501})
    assert answer.status_code == 422
    assert "reason" in answer.json["errors"]["json"]
    assert api("GET", "/halt").json["halted"] is False
