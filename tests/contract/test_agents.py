"""Rows A1 to A8 of the contract."""

from tests.conftest import Api


def test_an_agent_in_the_flat_form_reads_back(api: Api) -> None:
    sent = {
        "agent_id": "market-analyst",
        "name": "Market Analyst",
        "llm_provider": "openai",
        "llm_model": "gpt-4.1",
        "llm_temperature": 0.2,
        "llm_api_key": "sk-canary-flat-form",
    }
    created = api("POST", "/agents", sent)
    assert created.status_code == 201
    body = api("GET", "/agents/market-analyst").json
    assert body == created.json
    assert {name: body[name] for name in sent if name != "llm_api_key"} == {
        name: value for name, value in sent.items() if name != "llm_api_key"
    }
    assert body["llm_api_key_set"] is True
    assert body["llm_endpoint"] == "https://api.openai.com/v1"
    assert "sk-canary" not in created.text
