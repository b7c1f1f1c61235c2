"""The admin interface's forms: one validation with REST, nothing lost, no secret shown."""

from collections.abc import Callable
from html import unescape
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from flask import Flask
from sqlalchemy import inspect, select

from app.accounts.models import Role
from app.accounts.services import create_user
from app.agents import services as agents
from app.agents.admin import AgentForm, AgentView, StepForm
from app.changes.admin import HistoryView
from app.changes.services import read_state
from app.core.db import commit, db
from app.health.admin import CheckedProviderView
from app.providers import services as providers
from app.providers.admin import ProviderForm
from app.providers.models import Provider, ValidationStatus
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD
from tests.support.console import Console, fields_in

CANARY = "sk-canary-0123456789"
PASSWORD = "another horse battery"
SQL = ("INSERT", "UPDATE", "sqlite", "psycopg", "IntegrityError", "uq_", "DETAIL")

# Where the database makes no difference, one of them is enough.
on_one_database = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

Result = TypeVar("Result")


class Stored:
    """What the database holds, read anew each time: a request shares no session with a test."""

    def __init__(self, app: Flask) -> None:
        self._app = app

    def do(self, verb: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
        """Call a service on the side, as somebody else would."""
        with self._app.app_context():
            return verb(*args, **kwargs)

    def rev(self) -> int:
        return self.do(read_state).rev

    def provider(self, name: str = "kept") -> SimpleNamespace:
        with self._app.app_context():
            return _columns(db.session.scalar(select(Provider).where(Provider.name == name)))

    def agent(self, slug: str = "edited") -> SimpleNamespace:
        with self._app.app_context():
            agent = agents.get_agent(slug)
            steps = [_columns(step) for step in agent.llm_configs]
            return SimpleNamespace(**vars(_columns(agent)), steps=steps)


def _columns(row: Any) -> SimpleNamespace:
    assert row is not None
    return SimpleNamespace(**{c.key: getattr(row, c.key) for c in inspect(type(row)).column_attrs})


@pytest.fixture
def stored(app: Flask) -> Stored:
    return Stored(app)


@pytest.fixture
def console(app: Flask) -> Console:
    """An admin's session."""
    return Console(app, ADMIN_EMAIL, ADMIN_PASSWORD)


@pytest.fixture
def provider(stored: Stored) -> str:
    """The edit page of a provider with a key."""
    data = {"name": "kept", "type": "openai", "api_key": CANARY, "options": {"a": 1}}
    stored.do(providers.create_provider, data)
    return f"/admin/provider/edit/?id={stored.provider().id}"


@pytest.fixture
def agent(stored: Stored, provider: str) -> str:
    """The edit page of an agent with two steps, the second with a key of its own."""
    on = stored.provider().id
    steps = [
        {"provider_id": on, "model_name": "first"},
        {"provider_id": on, "model_name": "second", "api_key": CANARY},
    ]
    stored.do(agents.create_agent, {"name": "Edited", "llm_configs": steps})
    return f"/admin/agent/edit/?id={stored.agent().id}"


# What a form and a list hold


@on_one_database
def test_forms_hold_exactly_these_fields(app: Flask) -> None:
    expected: dict[type, str] = {
        ProviderForm: "version name type base_url api_key clear_api_key check_interval check_call"
        " check_model options is_active",
        AgentForm: "version name agent_id description owner_id is_active llm_configs"
        " system_prompt user_prompt metadata_",
        StepForm: "id provider_id model_name temperature top_p max_tokens timeout endpoint api_key"
        " clear_api_key enabled",
    }
    with app.test_request_context():
        for form, names in expected.items():
            assert sorted(field.short_name for field in form()) == sorted(names.split()), form


@on_one_database
def test_a_step_s_float_fields_are_really_on_the_page(console: Console, agent: str) -> None:
    fields = console.form(agent)
    assert fields["llm_configs-0-temperature"] == "0.7"
    assert fields["llm_configs-0-top_p"] == ""
    assert fields["llm_configs-1-timeout"] == "30"


def test_lists_and_exports_hold_exactly_these_columns() -> None:
    listed = ("name", "validation_status", "base_url", "api_key_set", "latency_ms")
    provider = ("name", "validation_status", "type", "base_url", "api_key_set", "latency_ms")
    told = (
        *("agent_id", "name", "description", "is_default", "is_active", "halted"),
        *("halted_reason", "chain", "updated_at"),
    )
    changes = ("rev", "at", "actor", "entity", "root", "operation", "diff")
    assert CheckedProviderView.column_list == listed
    exported = (*provider, "is_active", "last_error", "last_checked_at")
    assert CheckedProviderView.column_export_list == exported
    assert AgentView.column_list == ("name", "chain", "is_active", "updated_at")
    assert AgentView.column_export_list == told
    assert HistoryView.column_list == tuple(name for name in changes if name != "root")
    assert HistoryView.column_export_list == changes


@on_one_database
def test_an_export_starts_no_formula(console: Console, stored: Stored) -> None:
    for number, first in enumerate("=+-@\t\r"):
        name = f"{first}cmd|' /C calc'!A0"
        stored.do(agents.create_agent, {"agent_id": f"a{number}", "name": name})
    exported = console.get("/admin/agent/export/csv/").text
    named = "Agent Id,Name,Description,Is Default,Active,Halted,Halted Reason,Chain,Changed"
    assert exported.splitlines()[0] == named
    assert exported.count("cmd|") == 6
    assert all(f"'{first}cmd" in exported for first in "=+-@\t\r")


def test_no_number_and_no_text_in_a_list_s_address_breaks_it(console: Console) -> None:
    for path in (
        "agent/?page=100000000000000000000",
        "agent/?page=-1",
        "agent/?sort=99999999999999999999&desc=7",
        "agent/?sort=1",  # its chain, by which nothing is sorted
        "history/export/csv/?sort=0",
        "agent/?page_size=99999999999999999999",
        "agent/?search=%00",
        "history/?page=100000000000000000000&actor=%00",
        "provider/?search=%25_%5C",
    ):
        assert console.get(f"/admin/{path}").status_code == 200, path


@on_one_database
def test_an_id_that_no_row_has_is_not_found(console: Console) -> None:
    for bad in ("99999999999999999999", "-1", "x", "1 OR 1=1", "²", "\x00"):
        for path in ("agent/edit/", "agent/details/", "provider/edit/", "provider/details/"):
            assert console.get(f"/admin/{path}", id=bad).status_code == 404, (path, bad)
        assert console.post("/admin/agent/delete/", id=bad).status_code == 404


# Providers


def test_a_provider_is_registered_and_its_check_asked_for(
    console: Console, stored: Stored, app: Flask
) -> None:
    page = console.save("/admin/provider/new/", name="new", type="openai", api_key=CANARY)
    assert "Provider new is created." in page.text
    assert "sk-canary" not in page.text + console.get("/admin/history/").text
    made = stored.provider("new")
    assert made.base_url == "https://api.openai.com/v1"
    assert made.validation_status is ValidationStatus.PENDING
    with app.app_context():
        key = providers.get_provider(made.id).open_api_key()
        assert key is not None
        assert key.get_secret_value() == CANARY


def test_an_empty_key_field_keeps_the_key_and_only_the_tick_clears_it(
    console: Console, provider: str, stored: Stored
) -> None:
    before = stored.provider()
    console.save(provider, name="renamed")
    after = stored.provider("renamed")
    assert (after.api_key_id, after.options) == (before.api_key_id, {"a": 1})
    console.save(provider, clear_api_key="y")
    assert stored.provider("renamed").api_key_id is None


def test_a_save_that_changes_nothing_is_no_change(
    console: Console, agent: str, stored: Stored
) -> None:
    prompts = {"system_prompt": "two\nlines", "metadata_": {"a": [1]}}
    stored.do(agents.update_agent, "edited", prompts)
    rev = stored.rev()
    assert "is saved" in console.save(agent).text
    assert stored.rev() == rev


@on_one_database
def test_a_refused_key_is_not_sent_back(console: Console, provider: str) -> None:
    page = console.save(provider, name="", api_key="sk-canary-typed")
    assert "Not saved" in page.text
    assert 'id="api_key-help"><strong class="error">Enter it again' in page.text
    assert "sk-canary" not in page.text
    assert "Enter it again" not in console.save(provider, name="").text


@on_one_database
def test_another_origin_asks_for_the_key_beside_its_field(
    console: Console, provider: str, stored: Stored
) -> None:
    page = console.save(provider, base_url="https://elsewhere.example/v1")
    assert 'id="api_key-help"><strong class="error">The new base_url is another' in page.text
    assert stored.provider().base_url == "https://api.openai.com/v1"


def test_a_clash_shows_neither_sql_nor_key(console: Console, provider: str) -> None:
    taken = {"name": "kept", "type": "openai", "api_key": "sk-canary-typed"}
    page = console.save("/admin/provider/new/", **taken).text
    assert "The name is taken" in page
    assert not [word for word in (*SQL, "sk-canary") if word in page]


BAD_PROVIDERS = (
    ("name", ""),
    ("name", "x" * 129),
    ("name", "nul\x00l"),
    ("type", "nonsense"),
    ("base_url", "ftp://example.com"),
    ("base_url", "https://user:secret@example.com"),
    ("base_url", "javascript:alert(1)"),
    ("options", "{"),
    ("options", "[1]"),
    ("options", '{"a": NaN}'),
    ("options", '{"a": 1, "a": 2}'),
    ("options", "[" * 1000),
    ("options", '{"a": "\\u0000"}'),
)


@on_one_database
def test_a_bad_value_is_refused_beside_its_field(
    console: Console, provider: str, stored: Stored
) -> None:
    rev = stored.rev()
    for field, value in BAD_PROVIDERS:
        page = console.save(provider, **{field: value})
        assert page.status_code == 200, (field, value)
        assert f'id="{field}-help"><strong class="error">' in page.text, (field, value)
    assert stored.rev() == rev


# Agents and their chains


def test_an_agent_and_its_chain_are_saved_together(
    console: Console, provider: str, stored: Stored
) -> None:
    on = str(stored.provider().id)
    chain = {
        f"llm_configs-{n}-{name}": value
        for n, model in enumerate(("primary", "fallback"))
        for name, value in (("provider_id", on), ("model_name", model), ("id", ""))
    }
    rev = stored.rev()
    sent = {**chain, "llm_configs-1-temperature": "0.25", "llm_configs-1-enabled": "y"}
    page = console.save("/admin/agent/new/", name="Market Analyst", **sent)
    assert "Agent Market Analyst is created." in page.text
    steps = stored.agent("market-analyst").steps
    assert [(s.position, s.model_name) for s in steps] == [(0, "primary"), (1, "fallback")]
    assert [(s.temperature, s.enabled) for s in steps] == [(0.7, True), (0.25, True)]
    assert stored.rev() == rev + 1


@on_one_database
def test_an_agent_without_a_chain_needs_no_step(console: Console, stored: Stored) -> None:
    console.save("/admin/agent/new/", name="Bare")
    assert stored.agent("bare").steps == []


def test_steps_are_reordered_removed_and_keep_their_keys(
    console: Console, agent: str, stored: Stored
) -> None:
    first, second = stored.agent().steps
    moved = {"llm_configs-0": "llm_configs-7", "llm_configs-1": "llm_configs-3"}
    form = console.form(agent)
    swapped = {moved.get(name[:13], name[:13]) + name[13:]: form[name] for name in form}
    assert console.post(agent, **swapped).status_code == 302
    steps = stored.agent().steps
    assert [step.model_name for step in steps] == ["second", "first"]
    assert (steps[0].id, steps[0].api_key_id) == (second.id, second.api_key_id)
    dropped = {name: None for name in console.form(agent) if name.startswith("llm_configs-0")}
    console.save(agent, **dropped)
    assert [step.id for step in stored.agent().steps] == [first.id]


@on_one_database
def test_a_step_s_key_is_kept_cleared_and_never_shown(
    console: Console, agent: str, stored: Stored
) -> None:
    page = console.get(agent).text
    assert "sk-canary" not in page
    assert "A key is stored" in page
    console.save(agent, name="Renamed")
    assert stored.agent().steps[1].api_key_id is not None
    console.save(agent, **{"llm_configs-1-clear_api_key": "y"})
    assert stored.agent().steps[1].api_key_id is None


BAD_STEPS = (
    *(("temperature", bad) for bad in ("nan", "inf", "-inf", "-1", "2.1", "1e99", "warm")),
    *(("top_p", bad) for bad in ("nan", "-0.1", "1.5")),
    *(("max_tokens", bad) for bad in ("0", "1.5", "128001", "1e3", "9" * 30)),
    *(("timeout", bad) for bad in ("0", "-1", "301", "nan")),
    ("model_name", ""),
    ("model_name", "x" * 257),
    ("model_name", "nul\x00l"),
    ("provider_id", ""),
    ("provider_id", "999999"),
    ("provider_id", "x"),
    ("endpoint", "ftp://x"),
)


def test_a_bad_value_of_a_step_is_refused_and_nothing_is_stored(
    console: Console, agent: str, stored: Stored
) -> None:
    rev = stored.rev()
    for field, value in BAD_STEPS:
        page = console.save(agent, name="Other", **{f"llm_configs-1-{field}": value})
        assert page.status_code == 200, (field, value)
        marked = f'id="llm_configs-1-{field}-help"><strong class="error">'
        assert marked in page.text, (field, value)
    assert (stored.agent().name, stored.rev()) == ("Edited", rev)


@on_one_database
def test_a_step_of_another_agent_is_not_taken_over(
    console: Console, agent: str, stored: Stored
) -> None:
    stored.do(agents.create_agent, {"name": "Stranger"})
    first = stored.agent().steps[0]
    stolen = {"id": str(first.id), "provider_id": str(first.provider_id), "model_name": "m"}
    sent = {f"llm_configs-0-{name}": value for name, value in stolen.items()}
    page = console.save(f"/admin/agent/edit/?id={stored.agent('stranger').id}", **sent)
    assert "has no such step" in page.text
    assert len(stored.agent().steps) == 2
    assert stored.agent("stranger").steps == []


@on_one_database
def test_the_default_moves_by_one_button(console: Console, agent: str, stored: Stored) -> None:
    console.post("/admin/agent/set-default/", id=stored.agent().id)
    assert stored.agent().is_default
    assert not stored.agent("default").is_default
    page = console.save(agent, is_active=None)
    assert "The global default agent stays active" in page.text


@on_one_database
def test_what_people_enter_is_shown_as_text(console: Console, agent: str, stored: Stored) -> None:
    evil = "<script>alert(1)</script>{{7*7}}</textarea>"
    console.save(agent, name=evil, system_prompt=evil)
    assert stored.agent().system_prompt == evil
    for path in ("/admin/", "/admin/agent/", agent, "/admin/history/"):
        assert "<script>alert" not in console.get(path).text, path
    assert evil in unescape(console.get(agent.replace("edit", "details")).text)


# Two people at once


def test_a_stale_save_is_refused_and_shows_mine_and_theirs(
    console: Console, agent: str, stored: Stored
) -> None:
    mine = {**console.form(agent), "description": "mine"}
    stored.do(agents.update_agent, "edited", {"description": "theirs", "llm_temperature": 1.5})
    rev = stored.rev()
    page = console.post(agent, **mine).text
    assert "Somebody else saved this agent" in page
    assert "<pre>theirs</pre></td><td><pre>mine</pre>" in page
    assert "Temperature 1.5" in page
    assert "System prompt</th>" not in page, "what is alike is not listed"
    assert (stored.agent().description, stored.rev()) == ("theirs", rev)


@on_one_database
def test_sending_a_stale_form_again_is_refused_again(
    console: Console, agent: str, stored: Stored
) -> None:
    mine = {**console.form(agent), "description": "mine"}
    stored.do(agents.update_agent, "edited", {"description": "theirs"})
    for _ in range(2):
        page = console.post(agent, **mine)
        mine = {**fields_in(page.text), "description": "mine"}
    assert stored.agent().description == "theirs"


@on_one_database
def test_a_form_without_the_version_it_read_saves_nothing(
    console: Console, agent: str, provider: str, stored: Stored
) -> None:
    rev = stored.rev()
    for version in (None, "", "x", "-1", "9" * 40, "0"):
        for page in (agent, provider):
            answer = console.save(page, name="Overwritten", version=version)
            assert "Somebody else saved" in answer.text, version
    assert stored.rev() == rev


def test_a_row_deleted_meanwhile_is_not_found(console: Console, agent: str, stored: Stored) -> None:
    mine = console.form(agent)
    stored.do(agents.delete_agent, "edited")
    assert console.post(agent, **mine).status_code == 404


# What else the pages do


@on_one_database
def test_validate_asks_for_a_check(app: Flask, provider: str, stored: Stored) -> None:
    check_id = stored.provider().id
    stored.do(_settle, check_id)
    stored.do(create_user, "operator@example.com", PASSWORD, Role.OPERATOR)
    operator = Console(app, "operator@example.com", PASSWORD)
    operator.post("/admin/provider/validate/", id=check_id)
    assert stored.provider().validation_status is ValidationStatus.PENDING
    assert "kept is being checked." in operator.get("/admin/provider/").text


def test_a_viewer_sees_their_own_agents_and_nobody_s(
    app: Flask, agent: str, stored: Stored
) -> None:
    with app.app_context():
        viewer = create_user("viewer@example.com", PASSWORD, Role.VIEWER).id
        other = create_user("other@example.com", PASSWORD, Role.VIEWER).id
    stored.do(agents.create_agent, {"name": "Mine", "owner_id": viewer})
    stored.do(agents.create_agent, {"name": "Theirs", "owner_id": other})
    console = Console(app, "viewer@example.com", PASSWORD)
    for path in ("/admin/agent/", "/admin/agent/export/csv/"):
        page = console.get(path).text
        assert "Mine" in page
        assert "Edited" in page
        assert "Theirs" not in page
    hidden = stored.agent("theirs").id
    assert console.get(f"/admin/agent/details/?id={hidden}").status_code == 404
    overview = console.get("/admin/").text
    assert "Theirs" not in overview
    for absent in ("New agent", "Edit</a>", "Delete", "Set default"):
        assert absent not in console.get("/admin/agent/").text


@on_one_database
def test_the_history_is_narrowed_and_says_of_secrets_that_they_changed(
    console: Console, agent: str
) -> None:
    console.save(agent, **{"llm_configs-0-api_key": "sk-canary-new", "description": "new"})
    page = console.get("/admin/history/", root="edited", actor="admin@", entity="llm_config").text
    assert "<dt>api key</dt><dd><em>changed</em></dd>" in page
    assert ">edited</a>" in page
    assert "sk-canary" not in page
    assert ">setup " not in page
    for narrower in ({"root": "default"}, {"actor": "nobody"}, {"entity": "user"}):
        found = console.get("/admin/history/", **{"root": "edited", **narrower})
        assert ">edited</a>" not in found.text, narrower


@on_one_database
def test_the_history_is_read_only(console: Console) -> None:
    for path in ("new/", "edit/?id=1"):
        assert console.get(f"/admin/history/{path}").status_code == 404
    for path in ("new/", "edit/?id=1", "delete/"):
        assert console.post(f"/admin/history/{path}", id="1").status_code == 404


def test_the_overview_says_what_needs_attention(
    console: Console, agent: str, stored: Stored
) -> None:
    stored.do(_settle, stored.provider().id, error="The key was refused.")
    stored.do(agents.create_agent, {"name": "Chainless"})
    page = console.get("/admin/").text
    assert "The key was refused." in page
    assert "Chainless" in page
    assert "so the default agent answers for it" in page
    assert "First steps" in page


def _settle(provider_id: int, error: str | None = None) -> None:
    """What a check does at its end."""
    provider = providers.get_provider(provider_id)
    provider.validation_status = ValidationStatus.ERROR if error else ValidationStatus.CONNECTED
    provider.last_error = error
    commit()
