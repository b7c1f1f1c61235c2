"""Writers of every kind at once, through REST: they may be refused, but they never fail."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import sqlalchemy as sa
from flask import Flask

from app.agents.models import Agent, LLMConfig
from app.core.db import db, reading
from tests.conftest import ADMIN_TOKEN
from tests.support.replay import contradictions

WRITERS = 8
WRITES = 25
HEADERS = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
SLUGS = ("default", "a", "b", "c")
TYPES = ("openai", "mistral", "groq", "ollama")
ALLOWED = {200, 201, 400, 404, 409}


def _request(chance: random.Random) -> tuple[str, str, Any]:
    slug, kind = chance.choice(SLUGS), chance.choice(TYPES)
    step = {"provider": kind, "model_name": "m"}
    return chance.choice(
        [
            ("POST", "/agents", {"name": slug, "llm_provider": kind, "llm_model": "m"}),
            ("POST", "/agents", {"name": slug, "is_default": True}),
            ("PATCH", f"/agents/{slug}", {"llm_provider": kind, "llm_model": "n"}),
            ("PATCH", f"/agents/{slug}", {"is_default": True, "llm_provider": kind}),
            ("PATCH", f"/agents/{slug}", {"is_active": chance.random() < 0.5}),
            ("DELETE", f"/agents/{slug}", None),
            ("POST", f"/agents/{slug}/set-default", None),
            ("POST", f"/agents/{slug}/llm-configs", step),
            ("PUT", f"/agents/{slug}/llm-configs", {"llm_configs": [step, step]}),
            ("POST", "/llm-configs/bulk", {"agent_ids": ["a", "b", "c"], "config": step}),
            ("PATCH", f"/providers/{chance.randint(1, 6)}", {"options": {"n": chance.random()}}),
            ("DELETE", f"/providers/{chance.randint(2, 6)}", None),
            ("POST", "/halt", {"reason": "x"}),
            ("POST", "/resume", None),
        ]
    )


def test_no_mixture_of_writers_fails(app: Flask) -> None:
    def write(seed: int) -> list[tuple[int, str]]:
        chance, http, seen = random.Random(seed), app.test_client(), []
        for _ in range(WRITES):
            method, path, body = _request(chance)
            answer = http.open(f"/api{path}", method=method, json=body, headers=HEADERS)
            complaint = "" if answer.status_code in ALLOWED | {422} else answer.text
            seen.append((answer.status_code, f"{method} {path} {body} {complaint}"))
        return seen

    with ThreadPoolExecutor(WRITERS) as pool:
        seen = [entry for entries in pool.map(write, range(WRITERS)) for entry in entries]
    assert [entry for entry in seen if entry[0] not in ALLOWED | {422}] == []
    assert Counter(status for status, _ in seen)[200] > WRITES

    with app.app_context():
        assert contradictions() == []
    with app.app_context(), reading():
        defaults = sa.select(sa.func.count()).where(Agent.is_default, Agent.owner_id.is_(None))
        assert db.session.scalar(defaults) == 1
        for agent in db.session.scalars(sa.select(Agent)):
            positions = [step.position for step in agent.llm_configs]
            assert positions == list(range(len(positions)))
        orphans = sa.select(LLMConfig).where(~LLMConfig.agent.has())
        assert db.session.scalars(orphans).all() == []
