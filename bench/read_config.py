"""F4: `GET /agents/{id}/llm` and `GET /sync` (304) beside a bare Flask JSON route, in one run.

    PYTHONPATH=. python bench/read_config.py [sqlite] [postgresql]

All are served by gunicorn with the project's configuration; rounds are interleaved, so that a busy
machine is busy for all of them. Exit code 1 below the figures.
"""

import json
import os
import statistics
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench._load import Target, requests_per_second
from tests.support.processes import PYTHON, running
from tests.support.servers import (
    WebServer,
    postgres_server,
    redis_server,
    server_env,
    set_up,
    short_folder,
    web_server,
)

FIGURES = {"llm": 0.40, "sync 304": 0.60}
ROUNDS, SECONDS = 25, 0.2  # short turns: a busy machine is then as busy for each
ADMIN_TOKEN = "bench-admin-token-0123456789-0123456789"
# High enough not to end the run; every request is still counted.
SETTINGS = {"ADMIN_TOKEN": ADMIN_TOKEN, "RATE_LIMIT_API": "100000000 per minute"}
CHAIN = [
    {"provider": "openai", "model_name": "gpt-4.1", "api_key": "sk-bench-primary"},
    {"provider": "anthropic", "model_name": "claude-opus", "api_key": "sk-bench-fallback"},
]


class BareServer(WebServer):
    """The same gunicorn around a bare Flask app."""

    def __init__(self, log: Path, env: Mapping[str, str]) -> None:
        super().__init__(log, env)
        self.argv = [PYTHON, "-m", "gunicorn", "-c", "bench/_bare.py", "bench._bare:app"]


def main(backends: list[str]) -> int:
    held = [_measure(backend) for backend in backends]
    return 0 if all(held) else 1


def _measure(backend: str) -> bool:
    with _servers(backend) as (bare, web):
        targets = {"bare Flask": Target(bare.port, "/agents/desk", {}), **_targets(web)}
        for target in targets.values():
            requests_per_second(target, 0.3)  # warm
        rates: dict[str, list[float]] = {name: [] for name in targets}
        for _ in range(ROUNDS):
            for name, target in targets.items():
                rates[name].append(requests_per_second(target, SECONDS))
    return _report(backend, rates)


def _report(backend: str, rates: dict[str, list[float]]) -> bool:
    base = rates.pop("bare Flask")
    print(f"{backend}: bare Flask {statistics.median(base):,.0f} requests/s")
    held = True
    for name, found in rates.items():
        ratio = statistics.median(one / other for one, other in zip(found, base, strict=True))
        figure = FIGURES[name]
        held = held and ratio >= figure
        rate = statistics.median(found)
        print(f"F4 {backend}: {name} {rate:,.0f} requests/s, {ratio:.0%} (at least {figure:.0%})")
    return held


def _targets(web: WebServer) -> dict[str, Target]:
    _call(web, "POST", "/agents", {"agent_id": "desk", "name": "Desk"})
    _call(web, "PUT", "/agents/desk/llm-configs", {"llm_configs": CHAIN})
    scopes = ["config:read", "secrets:read", "usage:write"]
    token = _call(web, "POST", "/tokens", {"name": "bench", "scopes": scopes})[0]["token"]
    bearer = {"Authorization": f"Bearer {token}"}
    etag = _call(web, "GET", "/sync", token=token)[1]["ETag"]
    return {
        "llm": Target(web.port, "/api/agents/desk/llm", bearer),
        "sync 304": Target(web.port, "/api/sync", {**bearer, "If-None-Match": etag}, 304),
    }


def _call(
    web: WebServer, method: str, path: str, body: Any = None, token: str = ADMIN_TOKEN
) -> tuple[Any, Any]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{web.url}/api{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer), answer.headers


@contextmanager
def _servers(backend: str) -> Iterator[tuple[BareServer, WebServer]]:
    with ExitStack() as stack:
        folder = stack.enter_context(short_folder())
        settings = {**SETTINGS, "REDIS_URL": stack.enter_context(redis_server()).url}
        if backend == "postgresql":
            postgres = stack.enter_context(postgres_server())
            settings["DATABASE_URL"] = postgres.url(postgres.create_database())
        env = server_env(folder, **settings)
        set_up(env)
        bare = stack.enter_context(running(BareServer(folder / "bare.log", os.environ)))
        yield bare, stack.enter_context(web_server(env, folder / "web.log"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["sqlite", "postgresql"]))
