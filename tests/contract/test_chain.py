"""Rows A10 and A11: an agent's chain."""

from typing import Any

import pytest

from tests.conftest import Api
from tests.contract.conftest import MakeToken


def models(api: Api, agent_id: str = "trader") -> list[str]:
    body = api("GET", f"/agents/{agent_id}/llm-configs").json
    assert [step["position"] for step in body["llm_configs"]] == list(range(body["total"]))
    return [step["model_name"] for step in body["llm_configs"]]


def steps(api: Api) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api("GET", "/agents/trader/llm-configs").json["llm_configs"]
    return found


@pytest.fixture
def trader(api: Api) -> Api:
    body = {"name": "Trader", "llm_provider": "openai", "llm_model": "a", "llm_api_key": "sk-own"}
    assert api("POST", "/agents", body).status_code == 201
    for model in ("b", "c"):
        step = {"provider": "ollama", "model_name": model}
        assert api("POST", "/agents/trader/llm-configs", step).status_code == 201
    return api


def test_post_appends_and_names_where_it_stands(trader: Api) -> None:
    answer = trader("POST", "/agents/trader/llm-configs", {"provider": "ollama", "model_name": "d"})
    assert answer.location.endswith(f"/api/agents/trader/llm-configs/{answer.json['id']}")
    assert models(trader) == ["a", "b", "c", "d"]


def test_a_provider_and_an_id_that_contradict_each_other_are_refused(trader: Api) -> None:
    path, step = "/agents/trader/llm-configs", {"model_name": "d"}
    ollama = steps(trader)[1]["provider_id"]
    for name in ("ollama", "OLLAMA"):
        body = step | {"provider": name, "provider_id": ollama}
        assert trader("POST", path, body).json["provider_id"] == ollama
    answer = trader("POST", path, step | {"provider": "openai", "provider_id": ollama})
    assert (answer.status_code, [*answer.json["errors"]["json"]]) == (422, ["provider_id"])
    assert models(trader) == ["a", "b", "c", "d", "d"]


def test_null_empties_the_metadata_of_a_step(trader: Api) -> None:
    path = f"/agents/trader/llm-configs/{steps(trader)[0]['id']}"
    assert trader("PATCH", path, {"metadata": {"k": 1}}).json["metadata"] == {"k": 1}
    assert trader("PATCH", path, {"metadata": None}).json["metadata"] == {}


def test_the_fallback_shorthand_appends_a_second_step(trader: Api) -> None:
    body = {
        "provider": "ollama",
        "model_name": "d",
        "fallback_provider": "anthropic",
        "fallback_model": "e",
    }
    answer = trader("POST", "/agents/trader/llm-configs", body)
    assert (answer.json["fallback_provider"], answer.json["fallback_model"]) == ("anthropic", "e")
    assert models(trader) == ["a", "b", "c", "d", "e"]
    lonely = {"provider": "ollama", "model_name": "x", "fallback_model": "y"}
    answer = trader("POST", "/agents/trader/llm-configs", lonely)
    assert "fallback_provider" in answer.json["errors"]["json"]


def test_fallbacks_name_the_next_enabled_step_and_null_on_the_last(trader: Api) -> None:
    second = steps(trader)[1]
    trader("PATCH", f"/agents/trader/llm-configs/{second['id']}", {"enabled": False})
    assert [step["fallback_model"] for step in steps(trader)] == ["c", "c", None]
    flat = trader("GET", "/agents/trader/llm").json
    assert (flat["llm_model"], [step["llm_model"] for step in flat["fallbacks"]]) == ("a", ["c"])


def test_put_replaces_the_chain_and_kept_steps_keep_their_keys(trader: Api) -> None:
    first, _, third = steps(trader)
    chain = [
        {"id": third["id"]},
        {"provider": "anthropic", "model_name": "new"},
        {"id": first["id"], "temperature": 0.1},
    ]
    answer = trader("PUT", "/agents/trader/llm-configs", {"llm_configs": chain})
    assert answer.status_code == 200
    assert models(trader) == ["c", "new", "a"]
    last = steps(trader)[2]
    assert (last["id"], last["api_key_set"], last["temperature"]) == (first["id"], True, 0.1)
    assert trader("GET", "/agents/trader/llm").json["fallbacks"][1]["llm_api_key"] == "sk-own"


def test_a_chain_that_was_read_is_put_back_and_the_list_is_its_order(trader: Api) -> None:
    agent = trader("GET", "/agents/trader").json
    read = trader("GET", "/agents/trader/llm-configs").json
    assert trader("PUT", "/agents/trader/llm-configs", read).json == read
    assert trader("GET", "/agents/trader").json == agent
    backwards = read | {"llm_configs": read["llm_configs"][::-1]}
    assert trader("PUT", "/agents/trader/llm-configs", backwards).status_code == 200
    assert models(trader) == ["c", "b", "a"]
    odd = {"llm_configs": [read["llm_configs"][0] | {"colour": "red"}]}
    answer = trader("PUT", "/agents/trader/llm-configs", odd)
    assert (answer.status_code, "colour" in answer.text) == (422, True)


def test_what_was_read_is_put_back_unchanged(trader: Api, make_token: MakeToken) -> None:
    task = trader("POST", "/tasks", {"name": "t", "response_schema": {"a": {"type": "string"}}})
    trader("POST", "/agents/trader/tasks", {"task_id": task.json["id"]})
    writer = make_token("config:read", "config:write")
    trader("POST", "/agents", {"name": "Bare"})
    for path in ("/agents/trader", "/agents/bare", "/providers/1", "/tasks/1"):
        read = trader("GET", path).json
        answer = trader("PUT", path, read, token=writer)
        assert answer.status_code == 200, answer.text
        assert answer.json == read
        odd = trader("PUT", path, read | {"colour": "red"})
        assert [*odd.json["errors"]["json"]] == ["colour"]
    read = trader("GET", "/agents/trader").json
    other = read["provider"] | {"id": 1}
    for part, value in (
        ("fallbacks", []),
        ("tasks", []),
        ("provider", other),
        ("provider", None),
        ("llm_model", None),
    ):
        odd = trader("PUT", "/agents/trader", read | {part: value})
        assert (odd.status_code, [*odd.json["errors"]["json"]]) == (422, [part])
    elsewhere = trader("PUT", "/agents/trader", read | {"llm_provider": "ollama"}).json
    assert elsewhere["llm_endpoint"] == "http://127.0.0.1:11434"
    read = trader("PUT", "/agents/trader", elsewhere | {"llm_provider": "openai"}).json
    settled = read["provider"] | {"validation_status": "error"}
    assert trader("PUT", "/agents/trader", read | {"provider": settled}).status_code == 200


def test_put_is_all_or_nothing(trader: Api) -> None:
    before = trader("GET", "/agents/trader").json
    chain = [{"provider": "ollama", "model_name": "x"}, {"provider": "nobody", "model_name": "y"}]
    answer = trader("PUT", "/agents/trader/llm-configs", {"llm_configs": chain})
    assert answer.status_code == 422
    assert "llm_configs.1.provider" in answer.json["errors"]["json"]
    assert trader("GET", "/agents/trader").json == before


def test_an_empty_chain_sends_the_agent_to_the_default(trader: Api) -> None:
    trader("PUT", "/agents/trader/llm-configs", {"llm_configs": []})
    assert trader("GET", "/agents/trader/llm").json["source"] == "default"
    assert trader("GET", "/agents/trader/llm-configs/primary").status_code == 404


def test_patch_changes_one_step_and_its_prices_are_exact(trader: Api) -> None:
    second = steps(trader)[1]
    price = "0.000000003625"
    body = {"cost_per_1k_input_tokens": price, "top_p": 0.5, "metadata": {"team": "fx"}}
    answer = trader("PATCH", f"/agents/trader/llm-configs/{second['id']}", body)
    assert answer.json | body == answer.json
    assert models(trader) == ["a", "b", "c"]
    prices = trader("GET", "/agents/trader/llm").json["fallbacks"][0]["prices"]
    assert prices["cost_per_1k_input_tokens"] == price
    assert prices["cost_per_1k_output_tokens"] is None


def test_a_step_s_price_for_another_unit_is_kept_and_doubted(trader: Api) -> None:
    body = {"provider": "openai", "model_name": "gpt-4.1", "cost_per_1k_input_tokens": "0.002"}
    created = trader("POST", "/agents/trader/llm-configs", body).json
    assert "warnings" not in created
    path = f"/agents/trader/llm-configs/{created['id']}"
    changed = trader("PATCH", path, {"cost_per_1k_input_tokens": "2"}).json
    assert changed["cost_per_1k_input_tokens"] == "2"
    (warning,) = changed["warnings"]
    assert warning.startswith("cost_per_1k_input_tokens: 2 for 1,000 tokens is far from the list")
    assert warning.endswith("the price of a million tokens? Then it is 0.002 for 1,000 tokens.")


def test_delete_removes_one_step_and_the_rest_move_up(trader: Api) -> None:
    first = steps(trader)[0]
    assert trader("DELETE", f"/agents/trader/llm-configs/{first['id']}").status_code == 200
    assert models(trader) == ["b", "c"]
    assert trader("GET", "/agents/trader/llm-configs/primary").json["model_name"] == "b"
    assert trader("DELETE", f"/agents/trader/llm-configs/{first['id']}").status_code == 404


def test_a_step_of_another_agent_is_not_found(trader: Api) -> None:
    own = steps(trader)[0]["id"]
    assert trader("GET", f"/agents/default/llm-configs/{own}").status_code == 404
    answer = trader("PUT", "/agents/default/llm-configs", {"llm_configs": [{"id": own}]})
    assert "llm_configs.0.id" in answer.json["errors"]["json"]


def test_an_override_of_another_origin_gets_no_key_but_its_own(trader: Api) -> None:
    first = steps(trader)[0]["id"]
    path = f"/agents/trader/llm-configs/{first}"
    trader("PATCH", path, {"endpoint": "https://elsewhere.example/v1"})
    flat = trader("GET", "/agents/trader/llm").json
    assert flat["llm_endpoint"] == "https://elsewhere.example/v1"
    assert (flat["llm_api_key"], flat["llm_api_key_id"]) == (None, None)


def test_bulk_replaces_step_0_of_each_and_keeps_the_fallbacks(trader: Api) -> None:
    config = {"provider": "anthropic", "model_name": "claude"}
    body = {"agent_ids": ["trader", "default"], "config": config}
    answer = trader("POST", "/llm-configs/bulk", body)
    assert (answer.status_code, answer.json["agent_ids"]) == (200, ["default", "trader"])
    assert models(trader) == ["claude", "b", "c"]
    assert models(trader, "default") == ["claude"]
    assert steps(trader)[0]["api_key_set"] is False


def test_bulk_is_all_or_nothing(trader: Api) -> None:
    config = {"provider": "ollama", "model_name": "m"}
    for change, status in (
        ({"agent_ids": ["trader", "nobody"]}, 404),
        ({"config": {"provider": "nobody", "model_name": "m"}}, 422),
        ({"config": {"provider": "ollama"}}, 422),
        ({"agent_ids": []}, 422),
    ):
        body = {"agent_ids": ["default", "trader"], "config": config} | change
        assert trader("POST", "/llm-configs/bulk", body).status_code == status, change
        assert models(trader) == ["a", "b", "c"]
        assert models(trader, "default") == ["mistral:7b-instruct"]


def test_a_stale_version_changes_nothing(trader: Api) -> None:
    step = steps(trader)[0]["id"]
    stale = {"headers": {"If-Match": '"1"'}}
    path = "/agents/trader/llm-configs"
    for method, where, body in (
        ("POST", path, {"provider": "ollama", "model_name": "x"}),
        ("PUT", path, {"llm_configs": []}),
        ("PATCH", f"{path}/{step}", {"model_name": "x"}),
        ("DELETE", f"{path}/{step}", None),
    ):
        assert trader(method, where, body, **stale).status_code == 412
    assert models(trader) == ["a", "b", "c"]
