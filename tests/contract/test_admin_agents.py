"""The admin pages about what agents are made of: agent page, chains, bulk edits, copies, voice."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any, TypeVar

import pytest
from flask import Flask

from app.accounts.models import Role
from app.accounts.services import create_user
from app.agents import services as agents
from app.agents.chain_schemas import MAX_STEPS, dump_chain
from app.agents.schemas import reveal_key
from app.changes.services import read_state
from app.core.clock import utcnow
from app.providers import services as providers
from app.providers.models import ValidationStatus
from app.tasks import assignments
from app.tasks import services as tasks
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, Api
from tests.support.console import Console

CANARY = "sk-canary-0123456789"
PASSWORD = "another horse battery"
Result = TypeVar("Result")
Do = Callable[..., Any]

on_one_database = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture
def do(app: Flask) -> Do:
    """``do(service, ...)``: call it on the side, as somebody else would."""

    def call(verb: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
        with app.app_context():
            return verb(*args, **kwargs)

    return call


@pytest.fixture
def console(app: Flask) -> Console:
    """An admin's session."""
    return Console(app, ADMIN_EMAIL, ADMIN_PASSWORD)


@pytest.fixture
def provider(do: Do) -> int:
    """A provider with a key."""
    return do(
        lambda: providers.create_provider({"name": "main", "type": "openai", "api_key": CANARY}).id
    )


@pytest.fixture
def other(do: Do) -> int:
    """Another one, without."""
    return do(lambda: providers.create_provider({"name": "spare", "type": "groq"}).id)


@pytest.fixture
def analyst(do: Do, provider: int, other: int) -> int:
    """An agent with a primary that has its own key, and a fallback."""
    steps = [
        {"provider_id": provider, "model_name": "large", "temperature": 0.2, "api_key": CANARY},
        {"provider_id": other, "model_name": "small"},
    ]
    agent = {"name": "Analyst", "system_prompt": "careful", "llm_configs": steps}
    return do(lambda: agents.create_agent(agent)[0].id)


def chain_of(do: Do, slug: str = "analyst") -> list[dict[str, Any]]:
    return do(lambda: dump_chain(agents.get_agent(slug)))


def rev_of(do: Do) -> int:
    return do(lambda: read_state().rev)


def page_of(console: Console, row_id: int) -> str:
    return unescape(console.get(f"/admin/agent/details/?id={row_id}").text)


# The agent page


@on_one_database
def test_each_value_is_shown_with_who_says_it(
    console: Console, analyst: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", CANARY)
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page_of(console, analyst)))
    primary, fallback = page.partition("Fallback 1")[::2]
    assert "Endpoint https://api.openai.com/v1 provider" in primary
    assert "API key ********** step" in primary
    assert "Temperature 0.2 step" in primary
    assert "Timeout 30 s built in" in primary
    assert "Max tokens the model's own not sent" in primary
    assert "API key ********** environment" in fallback
    assert "Temperature 0.7 built in" in fallback


@on_one_database
def test_the_page_has_the_config_as_clients_get_it_with_its_keys_masked(
    console: Console, analyst: int
) -> None:
    page = page_of(console, analyst)
    assert CANARY not in page
    shown = re.search(r'aria-label="Effective configuration">(.*?)</pre>', page, re.DOTALL)
    assert shown
    body = json.loads(shown[1])
    assert (body["llm_model"], body["llm_api_key"]) == ("large", "*" * 10)
    assert [step["llm_model"] for step in body["fallbacks"]] == ["small"]
    assert body["fallbacks"][0]["llm_api_key"] is None


@on_one_database
def test_an_inactive_agent_is_said_to_spend_and_offered_to_be_halted(
    console: Console, analyst: int, do: Do, app: Flask
) -> None:
    do(agents.update_agent, "analyst", {"is_active": False})
    page = page_of(console, analyst)
    assert "Inactive, and still spending" in page
    assert "The agent is inactive. The global default" in re.sub(r"\s+", " ", page)
    do(create_user, "viewer@example.com", PASSWORD, Role.VIEWER)
    theirs = page_of(Console(app, "viewer@example.com", PASSWORD), analyst)
    assert "An operator can halt it to stop them." in theirs
    for absent in ("Test every step", "Clone", "Restore to change", "<h2>Clients</h2>", "/halt/"):
        assert absent not in theirs


@on_one_database
def test_a_halted_agent_says_so_first(console: Console, analyst: int) -> None:
    console.post("/admin/agent/halt/", id=analyst, reason="strange orders")
    page = re.sub(r"\s+", " ", page_of(console, analyst))
    assert "Halted: clients refuse every call" in page
    assert ": strange orders</p>" in page


@on_one_database
def test_a_test_is_asked_for_and_shown(console: Console, analyst: int) -> None:
    assert "Not tested yet." in page_of(console, analyst)
    console.post("/admin/agent/test/", id=analyst)
    page = page_of(console, analyst)
    assert "waiting for a worker" in page
    assert ADMIN_EMAIL in page.partition("asked for by")[2]


@on_one_database
def test_an_agent_is_brought_back_to_what_it_was(
    console: Console, analyst: int, do: Do, other: int
) -> None:
    before = rev_of(do)
    changed, _ = do(agents.update_agent, "analyst", {"provider_id": other, "model_name": "worse"})
    version = do(lambda: agents.get_agent("analyst").version)
    assert changed
    stale = console.post("/admin/agent/restore/", id=analyst, rev=before, version=version - 1)
    assert "It was changed since you read it" in console.get(stale.location).text
    assert chain_of(do)[0]["model_name"] == "worse"
    console.post("/admin/agent/restore/", id=analyst, rev=before, version=version)
    assert [step["model_name"] for step in chain_of(do)] == ["large", "small"]
    unknown = console.post("/admin/agent/restore/", id=analyst, rev="x", version=version + 1)
    assert unknown.status_code == 302


# A copy


def test_a_copy_has_all_that_is_part_of_the_agent(console: Console, analyst: int, do: Do) -> None:
    task_id = do(lambda: tasks.create_task({"name": "triage"}).id)
    do(assignments.assign, "analyst", {"task_id": task_id, "is_active": False})
    voice = {"tts_provider_config": {"provider": "async.ai", "voice_id": "v", "api_key": CANARY}}
    do(agents.update_agent, "analyst", {**voice, "is_default": True})
    answer = console.save(f"/admin/agent/clone/?id={analyst}", name="Second", agent_id="")
    assert "Agent Second is created." in answer.text

    def look() -> None:
        copy = agents.get_agent("second")
        assert (copy.system_prompt, copy.is_default, copy.halted) == ("careful", False, False)
        assert [(s.model_name, s.temperature) for s in copy.llm_configs] == [
            ("large", 0.2),
            ("small", 0.7),
        ]
        original = agents.get_agent("analyst")
        for mine, theirs in (
            (copy.llm_configs[0], original.llm_configs[0]),
            (copy.speech_configs[0], original.speech_configs[0]),
        ):
            assert mine.api_key_id != theirs.api_key_id
            assert reveal_key(mine.sealed_key) == CANARY
        assert [(it.task_id, it.is_active) for it in copy.assignments] == [(task_id, False)]

    do(look)
    taken = console.save(f"/admin/agent/clone/?id={analyst}", name="Third", agent_id="second")
    assert "The agent_id 'second' is taken." in unescape(taken.text)


# Many agents at once


@pytest.fixture
def two(do: Do, analyst: int, provider: int) -> list[int]:
    """The analyst, and an agent without a chain."""
    return [analyst, do(lambda: agents.create_agent({"name": "Bare"})[0].id)]


def test_agents_are_switched_all_or_none(console: Console, two: list[int], do: Do) -> None:
    default = do(lambda: agents.find_default(None).id)
    rev = rev_of(do)
    console.post("/admin/agent/disable/", ids=[*two, default])
    assert "The global default agent stays active" in console.get("/admin/agent/").text
    assert rev_of(do) == rev
    console.post("/admin/agent/disable/", ids=two)
    assert "they go on spending unless they are halted" in console.get("/admin/agent/").text
    assert rev_of(do) == rev + 1
    console.post("/admin/agent/enable/", ids=two)
    assert do(lambda: agents.get_agent("bare").is_active)


@on_one_database
def test_nothing_chosen_is_said(console: Console, two: list[int], do: Do) -> None:
    rev = rev_of(do)
    for path in ("validate-chosen", "enable", "disable", "set-model"):
        console.post(f"/admin/agent/{path}/", ids=["0", "x" * 9][:1])
        assert "Choose some agents first." in console.get("/admin/agent/").text
    assert rev_of(do) == rev


@on_one_database
def test_the_providers_of_chosen_agents_are_checked(
    console: Console, two: list[int], do: Do, provider: int
) -> None:
    console.post("/admin/agent/validate-chosen/", ids=two)
    assert "Being checked: main, spare." in console.get("/admin/agent/").text
    status = do(lambda: providers.get_provider(provider).validation_status)
    assert status is ValidationStatus.PENDING


def test_a_model_is_set_on_many_after_a_look_at_what_changes(
    console: Console, two: list[int], do: Do, other: int
) -> None:
    rev = rev_of(do)
    form = {"ids": two, "provider_id": other, "model_name": "new", "max_tokens": "500"}
    preview = unescape(console.post("/admin/agent/set-model/", step="preview", **form).text)
    assert rev_of(do) == rev, "a look changes nothing"
    changes = set(re.findall(r"<td>([\w ]+)</td><td><del>", preview))
    assert changes == {"provider", "model name", "endpoint", "own key", "max tokens"}
    versions = dict(re.findall(r'name="(version-\d+)" value="(\d+)"', preview))

    do(agents.update_agent, "bare", {"description": "theirs"})
    stale = console.post("/admin/agent/set-model/", step="apply", **form, **versions)
    assert "Somebody else saved Bare in the meantime: look again." in stale.text
    assert rev_of(do) == rev + 1

    versions = dict(re.findall(r'name="(version-\d+)" value="(\d+)"', stale.text))
    console.post("/admin/agent/set-model/", step="apply", **form, **versions)
    primary, fallback = chain_of(do)
    assert (primary["model_name"], primary["provider_id"]) == ("new", other)
    assert (primary["temperature"], primary["max_tokens"]) == (0.2, 500), "what was not sent stays"
    assert (primary["api_key_set"], fallback["model_name"]) == (False, "small")
    assert [step["model_name"] for step in chain_of(do, "bare")] == ["new"]


@on_one_database
def test_a_bad_model_is_refused_beside_its_field(
    console: Console, two: list[int], do: Do, other: int
) -> None:
    rev = rev_of(do)
    good = {"ids": two, "provider_id": other, "model_name": "new"}
    for field, value in (("model_name", "x" * 257), ("temperature", "9"), ("provider_id", "999")):
        for step in ("preview", "apply"):
            form = good | {field: value, "step": step}
            page = console.post("/admin/agent/set-model/", **form).text
            assert f'id="{field}-help"><strong class="error">' in page, (field, step)
    assert rev_of(do) == rev


@on_one_database
def test_the_json_export_is_the_allow_list(console: Console, two: list[int]) -> None:
    answer = console.get("/admin/agent/export/json/")
    assert "attachment" in answer.headers["Content-Disposition"]
    found = {row["agent_id"]: row for row in answer.get_json()["agents"]}
    assert found["analyst"]["chain"] == ["main/large", "spare/small"]
    assert CANARY not in answer.text
    assert set(found["bare"]) == {
        *("agent_id", "name", "description", "is_default", "is_active", "halted"),
        *("halted_reason", "chain", "updated_at"),
    }


# LLM configs


@on_one_database
def test_prices_are_entered_for_a_million_and_kept_for_a_thousand(
    console: Console, analyst: int, do: Do
) -> None:
    step = chain_of(do)[0]["id"]
    page = f"/admin/llm_config/edit/?id={step}"
    console.save(page, cost_per_1k_input_tokens="0.003625", cost_per_1k_output_tokens="0")
    stored = chain_of(do)[0]
    assert stored["cost_per_1k_input_tokens"] == "0.000003625"
    assert stored["cost_per_1k_output_tokens"] == "0"
    assert stored["api_key_set"]
    assert console.form(page)["cost_per_1k_input_tokens"] == "0.003625"
    assert "$0.003625 in, $0 out" in console.get("/admin/llm_config/", search="analyst").text
    for bad in ("-1", "nan", "1e999", "much", "1_000", "1" * 25):
        refused = console.save(page, cost_per_1k_input_tokens=bad)
        assert 'id="cost_per_1k_input_tokens-help"><strong class="error">' in refused.text, bad


def test_a_step_moves_within_its_chain(console: Console, analyst: int, do: Do) -> None:
    first, second = (step["id"] for step in chain_of(do))
    version = do(lambda: agents.get_agent("analyst").version)
    console.post("/admin/llm_config/move/", id=second, by="up", version=version)
    assert [step["id"] for step in chain_of(do)] == [second, first]
    assert chain_of(do)[1]["api_key_set"]
    stale = console.post("/admin/llm_config/move/", id=second, by="down", version=version)
    assert "It was changed since you read it" in console.get(stale.location).text
    console.post("/admin/llm_config/move/", id=second, by="up", version=version + 1)
    assert [step["id"] for step in chain_of(do)] == [second, first], "it stood first already"


@on_one_database
def test_the_longest_chain_that_the_api_takes_is_saved_by_the_form(
    console: Console, provider: int, do: Do
) -> None:
    steps = [{"provider_id": provider, "model_name": f"m-{n}"} for n in range(MAX_STEPS)]
    agent_id = do(lambda: agents.create_agent({"name": "Long", "llm_configs": steps})[0].id)
    page = console.save(f"/admin/agent/edit/?id={agent_id}", name="Longer")
    assert "Agent Longer is saved." in page.text
    more = {"provider_id": str(provider), "model_name": "one-more"}
    page = console.save(
        f"/admin/agent/edit/?id={agent_id}",
        **{f"llm_configs-{MAX_STEPS}-{name}": value for name, value in more.items()},
    )
    assert f"A chain has {MAX_STEPS} steps at most." in page.text
    assert len(chain_of(do, "long")) == MAX_STEPS
    assert f"and {MAX_STEPS - 5} more" in console.get("/admin/agent/?search=long").text


@on_one_database
def test_steps_are_added_narrowed_and_deleted(
    console: Console, analyst: int, do: Do, other: int
) -> None:
    new = {"provider_id": str(other), "model_name": "third"}
    assert "is created" in console.save("/admin/llm_config/new/", agent_id="analyst", **new).text
    refused = console.save("/admin/llm_config/new/", agent_id="nobody", **new)
    assert refused.status_code == 404
    shown = console.get("/admin/llm_config/", model="thi", provider_id=other).text
    assert "<b>third</b>" in shown
    assert "<b>small</b>" not in shown
    step, version = chain_of(do)[2]["id"], do(lambda: agents.get_agent("analyst").version)
    console.post("/admin/llm_config/delete/", id=step, version=version)
    assert [it["model_name"] for it in chain_of(do)] == ["large", "small"]


@on_one_database
def test_a_stale_step_shows_mine_and_theirs(console: Console, analyst: int, do: Do) -> None:
    page = f"/admin/llm_config/edit/?id={chain_of(do)[0]['id']}"
    mine = {**console.form(page), "model_name": "mine"}
    do(agents.update_agent, "analyst", {"llm_model": "theirs"})
    newer = int(mine["version"]) + 1
    assert f'id="stored-version" data-live="any" hidden>{newer}<' in console.get(page).text
    shown = console.post(page, **mine).text
    assert "<pre>theirs</pre></td><td><pre>mine</pre>" in shown
    assert chain_of(do)[0]["model_name"] == "theirs"


@on_one_database
def test_other_people_s_agents_are_on_none_of_a_viewer_s_pages(
    console: Console, analyst: int, provider: int, do: Do, app: Flask
) -> None:
    somebody = do(lambda: create_user("other@example.com", PASSWORD, Role.VIEWER).id)
    do(create_user, "viewer@example.com", PASSWORD, Role.VIEWER)
    task_id = do(lambda: tasks.create_task({"name": "triage"}).id)
    do(assignments.assign, "analyst", {"task_id": task_id})
    do(agents.update_agent, "analyst", {"owner_id": somebody})
    viewer = Console(app, "viewer@example.com", PASSWORD)
    pages = ("agent/", "llm_config/", "voice/", "task/grid/", f"task/details/?id={task_id}")
    used = f"provider/details/?id={provider}"
    assert "analyst" in console.get(f"/admin/{used}").text
    for path in (*pages, used, "llm_config/export/csv/", "agent/export/json/"):
        assert "nalyst" not in viewer.get(f"/admin/{path}").text, path
    assert viewer.get(f"/admin/agent/details/?id={analyst}").status_code == 404


# Voice


@on_one_database
def test_a_voice_takes_what_its_adapter_declares(console: Console, analyst: int, do: Do) -> None:
    page = f"/admin/voice/edit/?id={analyst}"
    tts, stt = "tts_provider_config-", "stt_provider_config-"
    chosen = {f"{tts}provider_id": "type:async.ai", f"{tts}voice_id": "v-1"}
    answer = console.save(page, **chosen, **{f"{tts}sample_rate": "44100", f"{tts}api_key": CANARY})
    assert "is saved" in answer.text
    assert CANARY not in answer.text + console.get(page).text

    def voice() -> Any:
        found = agents.get_agent("analyst").speech_configs
        return [(it.provider.type, it.settings, it.api_key_set) for it in found]

    assert do(voice) == [("async.ai", {"voice_id": "v-1", "sample_rate": 44100}, True)]
    for field, value in (("sample_rate", "1"), ("url", "ftp://x"), ("path", "no-slash")):
        refused = console.save(page, **{tts + field: value}).text
        assert f'id="{tts}{field}-help"><strong class="error">' in refused, field
    assert do(voice)[0][1] == {"voice_id": "v-1", "sample_rate": 44100}
    console.save(page, **{f"{tts}provider_id": "", f"{stt}provider_id": "type:whisper.local"})
    assert [kind for kind, *_ in do(voice)] == ["whisper.local"]


@on_one_database
def test_a_stale_voice_shows_mine_and_theirs(console: Console, analyst: int, do: Do) -> None:
    page = f"/admin/voice/edit/?id={analyst}"
    do(agents.update_agent, "analyst", {"tts_provider_config": {"provider": "async.ai"}})
    mine = {**console.form(page), "tts_provider_config-voice_id": "mine"}
    theirs = {"tts_provider_config": {"voice_id": "theirs"}}
    do(agents.update_agent, "analyst", theirs)
    shown = console.post(page, **mine).text
    assert "Speaks (tts): Voice id" in shown
    assert "<pre>theirs</pre></td><td><pre>mine</pre>" in shown


# What it costs


@on_one_database
def test_the_page_tells_what_was_spent_this_week(console: Console, analyst: int, api: Api) -> None:
    assert "Nothing was reported under this agent" in page_of(console, analyst)
    now = utcnow()
    events = [
        {
            "event_id": f"00000000-0000-4000-8000-00000000000{number}",
            "agent_id": "analyst",
            "provider": "main",
            "model": "large",
            "status": "ok",
            "started_at": (now - timedelta(days=days)).isoformat(),
            "input_tokens": 1000,
        }
        for number, days in enumerate((0, 1, 8))
    ]
    priced = {"cost_per_1k_input_tokens": "0.25", "cost_per_1k_output_tokens": "1"}
    chain = api("GET", "/agents/analyst/llm-configs").get_json()["llm_configs"]
    api("PATCH", f"/agents/analyst/llm-configs/{chain[0]['id']}", priced)
    answer = api("POST", "/usage", {"events": events}).get_json()
    assert answer["accepted"] == 3
    page = re.sub(r"\s+", " ", page_of(console, analyst))
    assert ">$0.5000</b> US dollars" in page
    assert "<b>2</b> calls" in page
    assert f"<td>{now.date()}</td><td>1</td><td>0</td><td>0.25" in page
