"""No secret comes out anywhere: canary keys are entered, and every sink is searched for them.

A new sink is one more line in SINKS; a new secret one more line in `canaries`.
"""

import ipaddress
import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app.agents import agent_tests
from app.agents import services as agents
from app.core.db import Base, db
from app.core.http import Outbound
from app.core.jobs import REV_CHANNEL
from app.core.redis import connect
from app.webhooks.delivery import deliver_due
from app.webhooks.services import request_test
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, ADMIN_TOKEN, close_app, make_app
from tests.support.checks import run_check
from tests.support.console import Console
from tests.support.loopback_provider import LoopbackProvider
from tests.support.processes import wait_until
from tests.support.servers import SECRETS, RedisServer

PROVIDER_KEY = "sk-canary-provider-0123456789"
STEP_KEY = "sk-canary-step-0123456789"
WEBHOOK_SECRET = "canary-webhook-0123456789"
URL_KEY = "canary-url-0123456789"
ENVIRONMENT_KEY = "canary-environment-0123456789"  # of no shape that a log filter would know
ONE_ROW = re.compile(r"/(details|edit)/$")
THE_END = "canary:the-end"
BEARER = {"Authorization": f"Bearer {ADMIN_TOKEN}"}


@dataclass
class World:
    """A running Switchyard with secrets in it, and what it let slip so far."""

    app: Flask
    caplog: pytest.LogCaptureFixture
    token: str
    user_password: str
    made_secret: str = ""
    """A webhook's, shown once."""
    redis_traffic: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def get(self, path: str, token: str) -> str:
        headers = {"Authorization": f"Bearer {token}"}
        with self.app.test_client() as http:
            answer = http.get(path, headers=headers)
            return f"{answer.status} {answer.headers} {answer.get_data(as_text=True)}"


@pytest.fixture
def world(
    database_url: str,
    redis: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[World]:
    """Everything entered that is secret, some of it wrongly, while Redis is listened to."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MISTRAL_API_KEY", ENVIRONMENT_KEY)
    app = make_app(database_url, redis.url, LOG_LEVEL="DEBUG")
    with listening(redis) as traffic:
        world = World(app, caplog, token="", user_password="canary-password-0123456789")
        world.redis_traffic = traffic
        enter_secrets(world)
        provoke_errors(world, monkeypatch)
        call_an_echo(world)
        # The nudge for a check has gone out: what a worker is told has been seen.
        wait_until(lambda: any("health.check" in line for line in traffic), "a nudge", 60)
        wait_until(lambda: any(REV_CHANNEL in line for line in traffic), "a hint", 60)
        yield world
    close_app(app)
    logging.getLogger().setLevel("INFO")


def canaries(world: World) -> list[str]:
    """What must show up nowhere."""
    return [
        PROVIDER_KEY,
        STEP_KEY,
        ENVIRONMENT_KEY,
        WEBHOOK_SECRET,
        URL_KEY,
        world.made_secret.removeprefix("whsec_"),
        world.token,
        world.user_password,
        ADMIN_TOKEN,
        ADMIN_PASSWORD,
        *SECRETS.values(),
    ]


def get_answers(world: World) -> Iterator[str]:
    """Every GET of the API, to a token without secrets:read."""
    for path in get_paths(world.app):
        yield world.get(path, world.token)


def health_and_documents(world: World) -> Iterator[str]:
    for path in ("/healthz", "/readyz", "/api/openapi.json", "/login", "/metrics"):
        yield world.get(path, "")
    yield world.get("/metrics", world.token)


def history(world: World) -> Iterator[str]:
    """The log of changes, as it is stored."""
    with world.app.app_context():
        yield str(db.session.execute(sa.select(Base.metadata.tables["changes"])).all())


def stored_rows(world: World) -> Iterator[str]:
    """The database itself: what is secret in it is sealed or hashed."""
    with world.app.app_context():
        for table in Base.metadata.sorted_tables:
            yield str(db.session.execute(sa.select(table)).all())


def database_files(world: World) -> Iterator[str]:
    file = Path(world.app.config["DATABASE_URL"].removeprefix("sqlite:///"))
    for path in file.parent.glob(f"{file.name}*"):
        yield path.read_bytes().decode("latin-1")


def reprs(world: World) -> Iterator[str]:
    """What a debugger, or an error report with its local variables, would show."""
    with world.app.app_context():
        for mapper in Base.registry.mappers:
            for row in db.session.scalars(sa.select(mapper.class_)).unique():
                yield repr(row) + repr(vars(row)) + str(row)
    yield repr(world.app.extensions["keyring"]) + repr(world.app.extensions["publisher"])


def logs(world: World) -> Iterator[str]:
    """Every record at DEBUG, before the formatter masks anything."""
    yield world.caplog.text
    yield str([record.__dict__ for record in world.caplog.records])


def errors(world: World) -> Iterator[str]:
    yield from world.errors


def redis_traffic(world: World) -> Iterator[str]:
    """Everything said to Redis: hints, jobs with their arguments, limits."""
    yield from world.redis_traffic


def commands(world: World) -> Iterator[str]:
    runner = world.app.test_cli_runner()
    for arguments in (["keys", "status"], ["keys", "status", "--json"], ["keys", "rotate"]):
        result = runner.invoke(args=arguments)
        yield result.output + str(result.exception)


def webhooks(world: World) -> Iterator[str]:
    """What a receiver is sent, and what an admin reads of it afterwards."""
    http = world.app.test_client()
    with LoopbackProvider() as receiver:
        receiver.answer_json({"you": "sent it"})
        world.app.extensions["outbound"] = Outbound([receiver.address], deadline=60)
        moved = {"url": f"http://{receiver.address}/hook?sig={URL_KEY}"}
        http.patch("/api/webhooks/1", json=moved, headers=BEARER)
        http.post("/api/agents/on-step/halt", json={"reason": "a test"}, headers=BEARER)
        with world.app.app_context():
            assert deliver_due(1) == 3, "two providers that are down, and the halt"
            receiver.redirect_to(f"/moved?sig={URL_KEY}")
            request_test(1)
            assert deliver_due(1) == 1
        yield str([(it.headers, it.body) for it in receiver.requests])
    for path in ("/api/webhooks", "/api/webhooks/1", "/api/webhooks/1/deliveries"):
        yield world.get(path, ADMIN_TOKEN)


def admin_pages(world: World) -> Iterator[str]:
    """Every page of the admin interface, to an admin; pages about one row of the first three."""
    session = Console(world.app, ADMIN_EMAIL, ADMIN_PASSWORD)
    paths = {
        rule.rule.replace("<export_type>", "csv")
        for rule in world.app.url_map.iter_rules()
        if rule.rule.startswith("/admin/") and "<path:" not in rule.rule and "GET" in rule.methods
    }
    for path in sorted(paths):
        for number in (1, 2, 3) if ONE_ROW.search(path) else (1,):
            yield f"{path} {session.get(path, id=number).text}"


SINKS: tuple[Callable[[World], Iterator[str]], ...] = (
    get_answers,
    health_and_documents,
    history,
    stored_rows,
    database_files,
    reprs,
    logs,
    errors,
    redis_traffic,
    commands,
    webhooks,
    admin_pages,
)


@pytest.mark.timeout(400)
def test_no_canary_sings(world: World) -> None:
    """Nor is the search deaf: who may have the keys gets them, and every sink says something."""
    assert PROVIDER_KEY in world.get("/api/agents/on-provider/llm", ADMIN_TOKEN)
    assert STEP_KEY in world.get("/api/agents/on-step/llm", ADMIN_TOKEN)
    assert ENVIRONMENT_KEY in world.get("/api/agents/on-environment/llm", ADMIN_TOKEN)
    hidden = canaries(world)
    assert all(len(canary) > 15 for canary in hidden)
    for sink in sinks_of(world):
        said = 0
        for text in sink(world):
            said += len(text)
            heard = [canary[:12] for canary in hidden if canary in text]
            assert heard == [], f"{sink.__name__}: {text[:300]}"
        assert said, sink.__name__


def sinks_of(world: World) -> list[Callable[[World], Iterator[str]]]:
    """All of them; a database that is a server's has no files here."""
    is_file = world.app.config["DATABASE_URL"].startswith("sqlite")
    return [sink for sink in SINKS if is_file or sink is not database_files]


def enter_secrets(world: World) -> None:
    http = world.app.test_client()
    openai = {"name": "openai", "type": "openai", "api_key": PROVIDER_KEY}
    assert http.post("/api/providers", json=openai, headers=BEARER).status_code == 201
    step = {"llm_model": "m", "llm_provider": "openai"}
    for body in (
        {"name": "On provider", **step},
        {"name": "On step", **step, "llm_api_key": STEP_KEY},
        {"name": "On environment", "llm_model": "m", "llm_provider": "mistral"},
    ):
        assert http.post("/api/agents", json=body, headers=BEARER).status_code == 201
    token = {"name": "reader", "scopes": ["config:read"]}
    world.token = http.post("/api/tokens", json=token, headers=BEARER).json["token"]
    for secret in ({"secret": WEBHOOK_SECRET}, {}):
        url = f"https://hooks.example.com/a?key={URL_KEY}"
        webhook = {"name": f"hook {len(secret)}", "url": url, **secret}
        answer = http.post("/api/webhooks", json=webhook, headers=BEARER)
        assert answer.status_code == 201
    world.made_secret = answer.json["secret"]
    user = {"email": "c@example.com", "username": "c", "password": world.user_password}
    assert http.post("/api/users", json=user, headers=BEARER).status_code == 201


def provoke_errors(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kind of refusal, with a secret in the request."""
    http = world.app.test_client()
    provider = {"name": "openai", "type": "openai", "api_key": PROVIDER_KEY}
    agent = {"name": "X", "llm_provider": "openai", "llm_model": "m", "llm_api_key": STEP_KEY}
    webhook = {"name": "another", "url": "https://hooks.example.com"}
    requests: tuple[tuple[str, Any], ...] = (
        ("/api/providers", provider),
        ("/api/providers", provider | {"api_key": [PROVIDER_KEY]}),
        ("/api/providers", provider | {"api_key": PROVIDER_KEY * 400}),
        ("/api/providers", provider | {"type": "nobody"}),
        ("/api/webhooks", webhook | {"secret": WEBHOOK_SECRET, "url": "nonsense"}),
        ("/api/webhooks", webhook | {"secret": f"whsec_{WEBHOOK_SECRET}"}),
        ("/api/webhooks", webhook | {"url": f"https://hooks.example.com?key={URL_KEY}#part"}),
        ("/api/agents", agent | {"llm_temperature": 9}),
        ("/api/agents", agent | {"llm_endpoint": "nonsense"}),
        ("/api/agents", agent | {"api_key": STEP_KEY}),
    )
    for path, body in requests:
        answer = http.post(path, json=body, headers=BEARER)
        assert 400 <= answer.status_code < 500
        world.errors.append(answer.text)
    body = f'{{"api_key": "{PROVIDER_KEY}"'
    answer = http.post("/api/providers", data=body, headers=BEARER, content_type="application/json")
    world.errors.append(answer.text)
    login = {"email": ADMIN_EMAIL, "password": world.user_password}
    world.errors.append(http.post("/login", data=login).text)
    with monkeypatch.context() as patch:
        patch.setattr(agents, "commit", _fail)
        answer = http.post("/api/agents", json=agent, headers=BEARER)
        assert answer.status_code == 500
        world.errors.append(answer.text)


def call_an_echo(world: World) -> None:
    """Checks and tests at an endpoint that quotes every key it is sent in its errors."""
    http = world.app.test_client()
    with LoopbackProvider() as echo:
        echo.answer_echo()
        # Nothing leaves the machine: whatever the name, it is here, and other ports are closed.
        loopback = [ipaddress.ip_address("127.0.0.1")]
        outbound = Outbound([echo.address], deadline=10, resolve=lambda *_: loopback)
        world.app.extensions["outbound"] = outbound
        openai = {"name": "echo", "type": "openai", "base_url": echo.openai_url}
        mistral = {"name": "echo-mistral", "type": "mistral", "base_url": echo.openai_url}
        for provider in (openai | {"api_key": PROVIDER_KEY}, mistral):
            made = http.post("/api/providers", json=provider, headers=BEARER).json
            with world.app.app_context():
                assert run_check(made["id"])
            told = http.get(f"/api/providers/{made['id']}", headers=BEARER).text
            assert "It says" in told
            world.errors.append(told)
        for slug, step in (
            ("on-provider", {"provider": "echo"}),
            ("on-step", {"provider": "echo", "api_key": STEP_KEY}),
            ("on-environment", {"provider": "echo-mistral"}),
        ):
            path = f"/api/agents/{slug}"
            body = {"model_name": "m", **step}
            assert http.post(f"{path}/llm-configs", json=body, headers=BEARER).status_code == 201
            answer = http.post(f"{path}/test", headers=BEARER)
            with world.app.app_context():
                assert agent_tests.run_test(answer.json["id"])
            told = http.get(f"{path}/tests/{answer.json['id']}", headers=BEARER).text
            assert "It says" in told
            world.errors.append(told)
        sent = {request.headers["authorization"] for request in echo.requests}
    keys = (PROVIDER_KEY, STEP_KEY, ENVIRONMENT_KEY)
    assert sent == {f"Bearer {key}" for key in keys}


def get_paths(app: Flask) -> list[str]:
    """Every GET of the API with what it takes filled in."""
    spec = app.test_client().get("/api/openapi.json").json
    slugs = ("on-provider", "on-step", "on-environment", "default")
    paths = []
    for path, item in spec["paths"].items():
        if "get" not in item:
            continue
        for slug in slugs if "{agent_id}" in path else ("",):
            named = path.replace("{agent_id}", slug)
            numbers = range(1, 5) if "{" in named else range(1)
            paths += [_numbered(named, number) for number in numbers]
    assert len(paths) > 20
    return paths


@contextmanager
def listening(server: RedisServer) -> Iterator[list[str]]:
    """All that is said to Redis, collected by a thread."""
    lines: list[str] = []
    with connect(server.url, read_timeout=None) as redis, redis.monitor() as monitor:

        def collect() -> None:
            for command in monitor.listen():
                lines.append(command["command"])
                if THE_END in command["command"]:
                    return

        thread = threading.Thread(target=collect)
        thread.start()
        yield lines
        redis.publish(THE_END, "")
        thread.join(60)


def _numbered(path: str, number: int) -> str:
    before, brace, rest = path.partition("{")
    return before + str(number) + rest.partition("}")[2] if brace else path


def _fail() -> None:
    raise RuntimeError("the disk is full")
