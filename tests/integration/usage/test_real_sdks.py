"""The real openai and anthropic packages on providers of this machine: what the server says was
spent is what the providers' own logs add up to."""

import json
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.agents.services import create_agent
from app.core.db import reading
from app.usage.listing import Selection
from app.usage.summary import summarise
from app.usage.sums import Question
from tests.conftest import ADMIN_TOKEN
from tests.frameworks.environments import python_of
from tests.support.llm_server import INPUT_TOKENS, OUTPUT_TOKENS, LlmServer
from tests.support.processes import ROOT
from tests.support.servers import RedisServer, server_env, web_server

CALLS = 4
PRICES = {"cost_per_1k_input_tokens": "0.003", "cost_per_1k_output_tokens": "0.015"}
PROGRAM = """
import json, sys
from anthropic import Anthropic
from openai import OpenAI
from switchyard_client import SwitchyardClient

url, token, calls = sys.argv[1:]
client = SwitchyardClient(url, token=token, snapshot_path=None)
assert client.wait_ready(60)
messages = [{"role": "user", "content": "ping"}]


def of_openai(attempt):
    ai = OpenAI(**attempt.openai()).chat.completions
    attempt.record(ai.create(model=attempt.model, messages=messages))
    asked = {"stream": True, "stream_options": {"include_usage": True}}
    stream = ai.create(model=attempt.model, messages=messages, **asked)
    assert list(attempt.streaming(stream))


def of_anthropic(attempt):
    ai = Anthropic(**attempt.anthropic()).messages
    asked = {"model": attempt.model, "max_tokens": 64, "messages": messages}
    attempt.record(ai.create(**asked))
    assert list(attempt.streaming(ai.create(**asked, stream=True)))


for _ in range(int(calls)):
    for agent_id, call in (("chatter", of_openai), ("thinker", of_anthropic)):
        for attempt in client.attempts(agent_id):
            with attempt:
                call(attempt)
assert client.flush_usage(60)
print(json.dumps({"dropped": client.usage_dropped}))
client.close()
"""


@pytest.mark.timeout(600)  # the first run on a machine installs the packages
@pytest.mark.parametrize("backend", ["sqlite"])
def test_the_bill_is_what_the_providers_counted(
    app: Flask, redis: RedisServer, tmp_path: Path
) -> None:
    settings = {"DATABASE_URL": app.config["DATABASE_URL"], "REDIS_URL": redis.url}
    env = server_env(tmp_path, **settings)
    with LlmServer() as openai, LlmServer() as anthropic, app.app_context():
        for name, kind, provider in (
            ("chatter", "openai", openai),
            ("thinker", "anthropic", anthropic),
        ):
            create_agent(
                {
                    "name": name,
                    "llm_configs": [
                        {
                            "provider": kind,
                            "model_name": f"{kind}-model",
                            "endpoint": provider.url,
                            "api_key": "sk-test",
                            **{field: Decimal(amount) for field, amount in PRICES.items()},
                        }
                    ],
                }
            )
        with web_server(env, tmp_path / "web.log") as web:
            assert _run(web.url, env) == {"dropped": 0}
        for agent_id, provider in (("chatter", openai), ("thinker", anthropic)):
            with reading():
                only = Question(selection=Selection(filters={"agent_id": agent_id}))
                total = summarise(only)["total"]
            assert provider.answered == 2 * CALLS
            assert (total["calls"], total["errors"]) == (provider.answered, 0)
            assert total["input_tokens"] == provider.answered * INPUT_TOKENS
            assert total["output_tokens"] == provider.answered * OUTPUT_TOKENS
            one = INPUT_TOKENS * Decimal("0.000003") + OUTPUT_TOKENS * Decimal("0.000015")
            assert Decimal(total["cost"]) == provider.answered * one


def _run(url: str, env: dict[str, str]) -> Any:
    done = subprocess.run(
        [python_of("sdks"), "-c", PROGRAM, url, ADMIN_TOKEN, str(CALLS)],
        env={**env, "PYTHONPATH": str(ROOT / "client")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])
