"""Row U2, export and import, and their commands."""

import json
import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from flask import Flask
from werkzeug.test import TestResponse

from app.transfer import cli as transfer_cli
from tests.conftest import ADMIN_TOKEN, Api
from tests.contract.conftest import MakeToken, MakeUser, SignIn

KEY = "sk-canary-transfer"
YAML = "text/yaml"
GUIDE = Path(__file__).parents[2] / "docs" / "gitops.md"

Import = Callable[..., TestResponse]


@pytest.fixture
def stocked(api: Api) -> None:
    """A provider with a key, a task, an agent with a chain, keys, a voice and the task."""
    provider = {"name": "openai-eu", "type": "openai", "api_key": f"{KEY}-provider"}
    assert api("POST", "/providers", provider).status_code == 201
    task = api("POST", "/tasks", {"name": "classify", "response_schema": {"b": {"type": "string"}}})
    agent = {
        "agent_id": "analyst",
        "name": "Analyst",
        "system_prompt": "Be careful.\nBe 📈.",
        "metadata": {"desk": {"b": 1, "a": 2}},
        "provider": "openai-eu",
        "model_name": "gpt-4.1",
        "api_key": f"{KEY}-step",
        "tts_provider_config": {"provider": "async.ai", "voice_id": "v", "model_id": "m"},
    }
    assert api("POST", "/agents", agent).status_code == 201
    step = {"provider": "ollama", "model_name": "m", "cost_per_1k_input_tokens": "0.0050"}
    assert api("POST", "/agents/analyst/llm-configs", step).status_code == 201
    assert api("POST", "/agents/analyst/tasks", {"task_id": task.json["id"]}).status_code == 201


@pytest.fixture
def export(api: Api) -> Callable[[], dict[str, Any]]:
    """``export()``: the document, parsed."""

    def read() -> dict[str, Any]:
        answer = api("GET", "/config/export")
        assert answer.status_code == 200
        assert KEY not in answer.text
        document: dict[str, Any] = yaml.safe_load(answer.text)
        return document

    return read


@pytest.fixture
def import_(api: Api) -> Import:
    """``import_(document, "dry_run=true")``: as YAML, by an admin."""

    def send(document: Any, query: str = "", **options: Any) -> TestResponse:
        text = (
            document
            if isinstance(document, str | bytes)
            else yaml.safe_dump(document, sort_keys=False)
        )
        options.setdefault("content_type", YAML)
        return api("POST", f"/config/import?{query}", data=text, **options)

    return send


def agent_of(document: dict[str, Any], agent_id: str = "analyst") -> dict[str, Any]:
    agent: dict[str, Any] = next(it for it in document["agents"] if it["agent_id"] == agent_id)
    return agent


@pytest.mark.usefixtures("stocked")
def test_the_export_is_the_configuration_by_names_without_keys(api: Api) -> None:
    answer = api("GET", "/config/export")
    assert answer.headers["Content-Type"] == "text/yaml; charset=utf-8"
    assert KEY not in answer.text
    assert "    Be careful.\n    Be 📈.\n" in answer.text
    document = yaml.safe_load(answer.text)
    assert list(document) == [
        *("format_version", "providers", "tasks", "agents", "budgets", "webhooks")
    ]
    names = [provider["name"] for provider in document["providers"]]
    assert names == sorted(names)
    assert document["providers"][names.index("openai-eu")] == {
        "name": "openai-eu",
        "type": "openai",
        "capability": "llm",
        "base_url": "https://api.openai.com/v1",
        "api_key": "set",
        "options": {},
        "is_active": True,
        "check_interval": None,
        "check_call": False,
    }
    agent = agent_of(document)
    assert [step["provider"] for step in agent["llm_configs"]] == ["openai-eu", "ollama"]
    assert [step["api_key"] for step in agent["llm_configs"]] == ["set", None]
    assert agent["llm_configs"][1]["cost_per_1k_input_tokens"] == "0.005"
    assert agent["tts"] == {
        "provider": "async.ai-tts",
        "settings": {"model_id": "m", "voice_id": "v"},
        "api_key": None,
    }
    assert (agent["stt"], agent["tasks"]) == (None, [{"name": "classify", "is_active": True}])
    assert "id" not in agent


@pytest.mark.usefixtures("stocked")
def test_json_where_it_is_accepted(api: Api, export: Any) -> None:
    answer = api("GET", "/config/export", headers={"Accept": "application/json"})
    assert answer.json == export()
    assert api("GET", "/config/export", headers={"Accept": "*/*"}).mimetype == YAML
    again = api("GET", "/config/export", headers={"Accept": "application/json"})
    assert again.headers["ETag"] == answer.headers["ETag"]
    assert again.data == answer.data
    known = {"Accept": "application/json", "If-None-Match": answer.headers["ETag"]}
    assert api("GET", "/config/export", headers=known).status_code == 304
    assert api("GET", "/config/export", headers=known | {"Accept": YAML}).status_code == 200


@pytest.mark.usefixtures("stocked")
def test_an_unchanged_export_changes_nothing(
    api: Api, import_: Import, rev: Callable[[], int]
) -> None:
    before = rev()
    for kind in ("application/json", YAML):
        text = api("GET", "/config/export", headers={"Accept": kind}).data
        answer = import_(text, content_type=kind)
        assert answer.json == {
            "dry_run": False,
            "created": 0,
            "updated": 0,
            "deleted": 0,
            "unchanged": 6,
            "diff": [],
            "warnings": [],
        }
    assert rev() == before


@pytest.mark.usefixtures("stocked")
def test_a_dry_run_shows_and_an_import_does_what_it_showed(
    api: Api, export: Any, import_: Import, rev: Callable[[], int]
) -> None:
    document = export()
    agent_of(document)["llm_configs"][0]["temperature"] = 0.1
    document["agents"].append(
        {
            "agent_id": "new",
            "name": "New",
            "llm_configs": [{"provider": "ollama", "model_name": "x"}],
        }
    )
    before = rev()
    shown = import_(document, "dry_run=true")
    assert rev() == before
    assert (shown.json["created"], shown.json["updated"]) == (1, 1)
    assert shown.json["diff"][0] == {
        "section": "agents",
        "name": "analyst",
        "operation": "update",
        "fields": {"llm_configs[0].temperature": [0.7, 0.1]},
    }
    done = import_(document, headers={"If-Match": shown.headers["ETag"]})
    assert done.json == shown.json | {"dry_run": False}
    assert rev() == before + 1
    assert api("GET", "/agents/analyst").json["llm_temperature"] == 0.1
    assert api("GET", "/agents/new").json["llm_timeout"] == 30
    assert import_(document).json["diff"] == []


@pytest.mark.usefixtures("stocked")
def test_another_difference_by_now_is_refused(
    api: Api, export: Any, import_: Import, rev: Callable[[], int]
) -> None:
    document = export()
    agent_of(document)["name"] = "From the file"
    shown = import_(document, "dry_run=true")
    api("PATCH", "/agents/analyst", {"name": "Meanwhile"})
    before = rev()
    for stale in (shown.headers["ETag"], '""', "no tag"):
        assert import_(document, headers={"If-Match": stale}).status_code == 412
    assert rev() == before
    assert import_(document, headers={"If-Match": "*"}).status_code == 200


@pytest.mark.usefixtures("stocked")
def test_keys_stay_with_what_they_are_for(api: Api, export: Any, import_: Import) -> None:
    document = export()
    agent = agent_of(document)
    agent["llm_configs"].reverse()
    agent["llm_configs"].insert(0, {"provider": "openai-eu", "model_name": "first"})
    agent["llm_configs"][1]["api_key"] = "set"
    answer = import_(document)
    assert answer.json["warnings"] == [
        "agents analyst: llm_configs[1].api_key has to be entered here."
    ]
    chain = api("GET", "/agents/analyst/llm-configs").json["llm_configs"]
    assert [(step["model_name"], step["api_key_set"]) for step in chain] == [
        ("first", False),
        ("m", False),
        ("gpt-4.1", True),
    ]


@pytest.mark.usefixtures("stocked")
def test_a_moved_provider_loses_its_key_and_says_so(api: Api, export: Any, import_: Import) -> None:
    document = export()
    provider = next(it for it in document["providers"] if it["name"] == "openai-eu")
    provider["base_url"] = "https://elsewhere.example/v1"
    answer = import_(document)
    assert answer.json["diff"][0]["fields"] == {
        "base_url": ["https://api.openai.com/v1", "https://elsewhere.example/v1"],
        "api_key": ["set", None],
    }
    assert answer.json["warnings"][0].startswith("providers openai-eu: Its key was for another")


@pytest.mark.usefixtures("stocked")
def test_what_an_item_does_not_say_stays(api: Api, import_: Import, rev: Callable[[], int]) -> None:
    before = api("GET", "/agents/analyst").json
    short = {"format_version": 1, "agents": [{"agent_id": "analyst", "description": "Short"}]}
    assert import_(short).status_code == 200
    after = api("GET", "/agents/analyst").json
    assert {n for n in after if after[n] != before[n]} == {"description", "version", "updated_at"}
    cleared = {"agent_id": "analyst", "description": None, "llm_configs": [], "tts": None}
    import_({"format_version": 1, "agents": [cleared | {"tasks": []}]})
    after = api("GET", "/agents/analyst").json
    assert (after["description"], after["llm_model"], after["tasks"]) == (None, None, [])


@pytest.mark.usefixtures("stocked")
def test_prune_deletes_what_the_sections_do_not_name(
    api: Api, export: Any, import_: Import
) -> None:
    api("POST", "/agents", {"agent_id": "old", "name": "Old"})
    api("POST", "/providers", {"name": "unused", "type": "ollama"})
    document = export()
    document["agents"] = [it for it in document["agents"] if it["agent_id"] != "old"]
    document["providers"] = [it for it in document["providers"] if it["name"] != "unused"]
    del document["tasks"]
    assert import_(document).json["deleted"] == 0
    answer = import_(document, "prune=true")
    assert [(it["name"], it["operation"]) for it in answer.json["diff"]] == [
        ("unused", "delete"),
        ("old", "delete"),
    ]
    assert api("GET", "/agents/old").status_code == 404
    assert api("GET", "/tasks").json["total"] == 1


@pytest.mark.usefixtures("stocked")
def test_the_default_moves_in_one_go(api: Api, export: Any, import_: Import) -> None:
    document = export()
    agent_of(document)["is_default"] = True
    agent_of(document, "default")["is_default"] = False
    answer = import_(document)
    assert {it["name"]: it["fields"] for it in answer.json["diff"]} == {
        "analyst": {"is_default": [False, True]},
        "default": {"is_default": [True, False]},
    }
    assert api("GET", "/agents/default").json["agent_id"] == "analyst"
    document["agents"] = [agent_of(document)]
    del document["tasks"], document["providers"]
    assert import_(document, "prune=true").json["deleted"] == 1
    assert api("GET", "/agents").json["total"] == 1


def test_owners_are_named_by_their_address(
    api: Api, make_user: MakeUser, export: Any, import_: Import
) -> None:
    owner = make_user("ada@example.com")
    api("POST", "/agents", {"agent_id": "hers", "name": "Hers", "owner_id": owner})
    document = export()
    assert agent_of(document, "hers")["owner"] == "ada@example.com"
    agent_of(document, "default")["owner"] = None
    agent_of(document, "hers").update(agent_id="his", owner="ADA@example.com")
    assert import_(document).json["created"] == 1
    assert api("GET", "/agents/his").json["owner_id"] == owner


def test_the_documented_file_is_what_is_exported(
    make_user: MakeUser, export: Any, import_: Import
) -> None:
    make_user("ada@example.com")
    (text,) = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert import_(text).json["created"] == 5
    documented, exported = yaml.safe_load(text), export()
    documented["providers"][0]["api_key"] = None
    for name in ("providers", "tasks", "agents", "budgets", "webhooks"):
        assert documented[name][0] in exported[name]
        assert list(documented[name][0]) == list(exported[name][0])


def change(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: agent_of(document).update(fields)


def step(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: agent_of(document)["llm_configs"][0].update(fields)


def provider(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["providers"].append(fields)


FAULTS: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (change(colour="red"), "agents[0].colour"),
    (change(name=None), "agents[0].name"),
    (change(agent_id="No Slug"), "agents[0].agent_id"),
    (change(owner="nobody@example.com"), "agents[analyst].owner"),
    (change(is_default=True), "agents[default].is_default"),
    (change(tasks=[{"name": "unknown"}]), "agents[analyst].tasks.0.name"),
    (change(tasks=[{"name": "classify"}] * 2), "agents[analyst].tasks.1.name"),
    (change(tts={"provider": "ollama"}), "agents[analyst].tts.settings.provider_id"),
    (
        change(tts={"provider": "async.ai-tts", "settings": {"volume": 11}}),
        "agents[analyst].tts.settings.volume",
    ),
    (change(stt={"provider": "unknown"}), "agents[analyst].stt.provider"),
    (step(temperature=2.5), "agents[0].llm_configs[0].temperature"),
    (step(temperature="0.5"), "agents[0].llm_configs[0].temperature"),
    (step(provider="unknown"), "agents[analyst].llm_configs.0.provider"),
    (step(provider="async.ai-tts"), "agents[analyst].llm_configs.0.provider_id"),
    (step(provider_id=1), "agents[0].llm_configs[0].provider_id"),
    (step(api_key=f"{KEY}-file"), "agents[0].llm_configs[0].api_key"),
    (provider(name="x"), "providers[x].type"),
    (provider(name="x", type="unknown"), "providers[x].type"),
    (provider(name="x", type="openai", api_key=KEY), "providers[4].api_key"),
    (provider(name="ollama", type="ollama"), "providers[4].name"),
    (provider(name="x", type="openai", base_url="file:///etc/passwd"), "providers[4].base_url"),
    (
        lambda document: document["tasks"].append({"name": "t", "response_schema": {"a": 1}}),
        "tasks[t].response_schema",
    ),
    (lambda document: document.update(users=[]), "users"),
    (lambda document: document.pop("format_version"), "format_version"),
]


@pytest.mark.usefixtures("stocked")
def test_one_fault_and_nothing_is_applied(
    export: Any, import_: Import, rev: Callable[[], int]
) -> None:
    good, before = export(), rev()
    # Something that could be applied is written before the fault.
    good["providers"].insert(0, {"name": "a-first", "type": "ollama"})
    for spoil, path in FAULTS:
        document = deepcopy(good)
        spoil(document)
        answer = import_(document)
        assert answer.status_code == 422, (path, answer.text)
        (named,) = answer.json["errors"]["json"]
        assert named.startswith(path)
        assert KEY not in answer.text
    assert rev() == before
    assert "a-first" not in str(export())


@pytest.mark.usefixtures("stocked")
def test_a_conflict_names_its_item(api: Api, export: Any, import_: Import) -> None:
    document = export()
    document["providers"] = []
    answer = import_(document, "prune=true")
    assert answer.status_code == 409
    assert "providers[async.ai-tts]: The provider is used by: analyst" in answer.json["message"]
    document = export()
    document["agents"] = []
    answer = import_(document, "prune=true")
    assert answer.status_code == 400
    assert "agents[default]" in answer.json["message"]
    assert api("GET", "/agents").json["total"] == 2


BODIES = [
    (b"a: [", YAML, 400),
    (b"{", "application/json", 400),
    (b'{"format_version": 1, "format_version": 1}', "application/json", 400),
    (b"format_version: 1\nformat_version: 1", YAML, 400),
    (b"", YAML, 422),
    (b"[]", YAML, 422),
    (b"format_version: 1", "text/plain", 415),
    (b"format_version: 1", "multipart/form-data", 415),
    (b"format_version: 1", "application/yaml", 200),
    (b"#" * (2 * 2**20) + b"\nformat_version: 1", YAML, 200),
    (b"#" * (16 * 2**20) + b"\nformat_version: 1", YAML, 413),
]


def test_bodies(import_: Import) -> None:
    for body, kind, status in BODIES:
        answer = import_(body, content_type=kind)
        assert answer.status_code == status, (body[:40], kind, answer.text)


def test_bad_arguments_are_named(import_: Import) -> None:
    for name in ("dry_run", "prune", "force"):
        answer = import_("format_version: 1", f"{name}=perhaps")
        assert (answer.status_code, list(answer.json["errors"]["query"])) == (422, [name])


def test_who_may_export_and_import(
    api: Api, make_token: MakeToken, make_user: MakeUser, sign_in: SignIn
) -> None:
    reader, bound = make_token("config:read"), make_token("admin", agents=["default"])
    assert api("GET", "/config/export", token=reader).status_code == 200
    assert api("GET", "/config/export", token=bound).status_code == 403
    body = {"data": "format_version: 1", "content_type": YAML}
    for token, status in (
        (reader, 403),
        (make_token("config:write"), 403),
        (bound, 403),
        (ADMIN_TOKEN, 200),
    ):
        assert api("POST", "/config/import", token=token, **body).status_code == status
    for role, allowed in (("viewer", 403), ("operator", 200)):
        make_user(f"{role}@example.com", role)
        assert sign_in(f"{role}@example.com")("GET", "/config/export").status_code == allowed


Run = Callable[..., Result]


@pytest.fixture
def run(app: Flask) -> Run:
    """``run("export", ...)``: `flask config export ...`."""

    def invoke(*args: str, **options: Any) -> Result:
        return app.test_cli_runner().invoke(args=["config", *args], **options)

    return invoke


def test_after_a_backup_was_put_back_clients_fetch_everything(api: Api, run: Run) -> None:
    known = api("GET", "/sync").json
    path = f"/sync?epoch={known['epoch']}&since={known['rev']}"
    assert api("GET", path).json["intent"] == "none"
    epoch = json.loads(run("new-epoch", "--json").stdout)["epoch"]
    answer = api("GET", path).json
    assert (answer["intent"], answer["epoch"], answer["rev"]) == ("full", epoch, known["rev"])
    assert run("new-epoch").stdout.startswith("New epoch ")


@pytest.mark.usefixtures("stocked")
def test_the_commands(
    api: Api, run: Run, export: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer_cli, "_somebody_is_there", lambda: True)
    file = tmp_path / "switchyard.yaml"
    assert run("export", "-o", str(file)).exit_code == 0
    assert file.read_text() == run("export").stdout == api("GET", "/config/export").text
    assert json.loads(run("export", "--json").stdout) == export()

    nothing = run("import", str(file), "--dry-run", "--exit-code")
    assert (nothing.exit_code, nothing.stdout) == (0, "Nothing to do.\n")
    file.write_text(file.read_text().replace("temperature: 0.7", "temperature: 0.1", 1))
    shown = run("import", str(file), "--dry-run")
    assert shown.exit_code == 0
    assert "~ agents analyst\n    llm_configs[0].temperature: 0.7 -> 0.1\n" in shown.stdout
    declined = run("import", str(file), input="n\n")
    assert declined.exit_code == 1
    assert api("GET", "/agents/analyst").json["llm_temperature"] == 0.7
    applied = run("import", str(file), input="y\n")
    assert applied.exit_code == 0
    assert "0.7 -> 0.1" in applied.stdout
    assert api("GET", "/agents/analyst").json["llm_temperature"] == 0.1
    assert api("GET", "/changes?page_size=1").json["changes"][0]["actor"] == "cli:config"


@pytest.mark.usefixtures("stocked")
def test_the_commands_in_a_pipeline(api: Api, run: Run, export: Any) -> None:
    document = export()
    document["agents"] = [it for it in document["agents"] if it["agent_id"] != "analyst"]
    text = json.dumps(document)
    shown = run("import", "-", "--prune", "--dry-run", "--exit-code", "--json", input=text)
    assert (shown.exit_code, json.loads(shown.stdout)["deleted"]) == (1, 1)
    applied = run("import", "-", "--prune", "--json", input=text)
    assert (applied.exit_code, json.loads(applied.stdout)["dry_run"]) == (0, False)
    assert api("GET", "/agents/analyst").status_code == 404


REFUSED = [
    ("a: [", "Not YAML"),
    ("format_version: 1\nagents: [{agent_id: x, colour: red}]", "agents[0].colour"),
    ("format_version: 1\nagents: [{agent_id: x}]", "agents[x].name"),
    ("#" * (16 * 2**20) + "\na: 1", "larger than 16 MiB"),
]


def test_a_refused_file_is_one_line_and_exit_code_2(run: Run) -> None:
    for text, told in REFUSED:
        result = run("import", "-", "--yes", input=text)
        assert (result.exit_code, result.stdout) == (2, "")
        assert told in result.stderr
        assert result.stderr.count("\n") == 1


def test_a_file_that_is_not_there(run: Run) -> None:
    assert run("import", "nowhere.yaml").exit_code == 2
