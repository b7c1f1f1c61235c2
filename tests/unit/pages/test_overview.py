"""What the overview counts, warns of and ticks off."""

from collections.abc import Iterator

import pytest
from flask import Flask

from app.accounts.models import Role
from app.accounts.services import create_user
from app.agents import halt
from app.agents import services as agents
from app.changes.services import read_state
from app.core.clock import utcnow
from app.core.db import commit
from app.pages import overview
from app.providers import services as providers
from app.providers.models import Provider, ValidationStatus
from app.push import clients
from app.push.clients import Sighting


@pytest.fixture(autouse=True)
def context(app: Flask) -> Iterator[None]:
    """Everything here reads and writes as one process does."""
    with app.app_context():
        yield


def settled(name: str, status: ValidationStatus, error: str | None = None) -> Provider:
    provider = providers.create_provider({"name": name, "type": "openai", "api_key": "sk"})
    provider.validation_status, provider.last_error = status, error
    commit()
    return provider


def test_every_state_of_a_provider_is_counted() -> None:
    settled("good", ValidationStatus.CONNECTED)
    settled("bad", ValidationStatus.ERROR)
    # The seeded one waits for its first check.
    assert overview.count_providers() == {
        "pending": 1,
        "validating": 0,
        "connected": 1,
        "error": 1,
    }


def test_agents_are_counted_as_far_as_one_may_see_them() -> None:
    viewer = create_user("viewer@example.com", "a long password", Role.VIEWER).id
    other = create_user("other@example.com", "a long password", Role.VIEWER).id
    agents.create_agent({"name": "Mine", "owner_id": viewer})
    agents.create_agent({"name": "Theirs", "owner_id": other, "is_active": False})
    halt.halt_agents(["mine"])
    assert overview.count_agents(None) == (3, 2, 1, 1)
    assert overview.count_agents(viewer) == (2, 2, 1, 1)
    assert {item.name for item in overview.list_attention(viewer)} == {"Mine"}


def test_the_worst_comes_first() -> None:
    settled("refused", ValidationStatus.ERROR, "The key was refused.")
    settled("keyless", ValidationStatus.PENDING, "It needs an API key.")
    agents.create_agent({"name": "Chainless"})
    halt.halt_all("Friday.")
    assert [(item.level, item.name, item.reason) for item in overview.list_attention(None)] == [
        ("error", "refused", "The key was refused."),
        ("halted", "All agents", "Halted: Friday."),
        ("warning", "Chainless", "It has no usable step, so the default agent answers for it."),
        ("pending", "keyless", "It needs an API key."),
    ]


def test_an_agent_on_an_inactive_provider_needs_attention() -> None:
    provider = settled("good", ValidationStatus.CONNECTED)
    agents.create_agent({"name": "Served", "provider_id": provider.id, "model_name": "m"})
    assert overview.list_attention(None) == []
    providers.update_provider(provider.id, {"is_active": False})
    assert [item.name for item in overview.list_attention(None)] == ["Served"]


def test_the_first_steps_are_ticked_from_what_is_there() -> None:
    def done() -> list[bool]:
        return [step.done for step in overview.list_first_steps()]

    assert done() == [False, False, False, False, True, False]
    provider = settled("good", ValidationStatus.CONNECTED)
    assert done() == [True, True, False, False, True, False]
    on = {"provider_id": provider.id, "model_name": "m"}
    agents.create_agent({"name": "First", **on})
    agents.update_agent("default", on)
    assert done() == [True, True, True, True, True, False]
    says_hello(behind=False)
    assert all(done())


def test_a_connected_client_that_runs_an_older_rev_needs_attention() -> None:
    says_hello(behind=True)
    assert overview.count_clients() == (1, 1)
    said = {item.name: item for item in overview.list_operational_attention()}
    assert said["1 client"].endpoint == "client.index_view"


def test_no_worker_needs_attention() -> None:
    assert [it.name for it in overview.list_operational_attention()] == ["Worker"]


def test_a_viewer_reads_of_the_changes_of_their_agents_only() -> None:
    viewer = create_user("viewer@example.com", "a long password", Role.VIEWER).id
    other = create_user("other@example.com", "a long password", Role.VIEWER).id
    agents.create_agent({"name": "Mine", "owner_id": viewer})
    agents.create_agent({"name": "Theirs", "owner_id": other})
    roots = {change.root for change in overview.list_changes(viewer, 50)}
    assert "mine" in roots
    assert not roots & {"theirs", "other@example.com"}


def says_hello(*, behind: bool) -> None:
    """A program with the seeded token on a socket of this process."""
    state = read_state()
    applied = state.rev - 1 if behind else state.rev
    seen = Sighting("1:c", "c", 1, None, "test", state.epoch, applied, state.rev, utcnow(), None)
    clients.record([seen], "host:1")
