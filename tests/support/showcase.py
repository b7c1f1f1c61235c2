"""A Switchyard with something on every page: for screenshots, and for sweeps over all pages."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from tests.support.loopback_provider import LoopbackProvider
from tests.support.processes import wait_until

PAGES = {
    "overview": "/admin/",
    "providers": "/admin/provider/",
    "provider": "/admin/provider/details/?id={provider}",
    "provider-form": "/admin/provider/edit/?id={provider}",
    "agents": "/admin/agent/",
    "agent": "/admin/agent/details/?id={agent}",
    "agent-form": "/admin/agent/edit/?id={agent}",
    "llm-configs": "/admin/llm_config/",
    "tasks": "/admin/task/",
    "task": "/admin/task/details/?id={task}",
    "task-form": "/admin/task/edit/?id={task}",
    "task-grid": "/admin/task/grid/",
    "voice": "/admin/voice/",
    "costs": "/admin/costs/",
    "costs-by-model": "/admin/costs/?period=30d&group_by=model&group_by=provider",
    "calls": "/admin/costs/calls/",
    "reprice": "/admin/costs/reprice/",
    "budgets": "/admin/budget/",
    "budget-form": "/admin/budget/new/",
    "prices": "/admin/price/",
    "price-form": "/admin/price/new/",
    "price-end-form": "/admin/price/edit/?id={price}",
    "prices-fill": "/admin/price/fill/",
    "clients": "/admin/client/",
    "history": "/admin/history/",
    "health-and-jobs": "/admin/health_jobs/",
    "users": "/admin/user/",
    "user-form": "/admin/user/new/",
    "tokens": "/admin/token/",
    "token-form": "/admin/token/new/",
    "webhooks": "/admin/webhook/",
    "webhook": "/admin/webhook/details/?id={webhook}",
    "webhook-form": "/admin/webhook/new/",
    "import-export": "/admin/import_export/",
    "settings": "/admin/settings/",
    "halt": "/admin/halt/",
}
"""Every page by a name, with the ids that ``fill`` answers."""

AGENTS = {
    "Equity Analyst": ("openai", "gpt-4.1"),
    "News Reader": ("anthropic", "claude-sonnet-4-5"),
    "Risk Officer": ("openai", "gpt-4.1-mini"),
    "Order Router": ("local", "mistral:7b-instruct"),
    "Portfolio Strategist": ("anthropic", "claude-opus-4-1"),
}
SCHEMA = {
    "action": {"type": "enum", "values": ["buy", "hold", "sell"]},
    "confidence": {"type": "number"},
    "reason": {"type": "string", "required": False},
    "as_of": {"type": "date-time"},
}
OPENAI_MODELS = ("gpt-4.1", "gpt-4.1", "gpt-4.1-nano", "in-house")  # the last has no price
DAYS = 7
CALLS_A_DAY = 12


class Showcase:
    """Fills a running server through its API."""

    def __init__(self, url: str, token: str) -> None:
        self._url = f"{url}/api"
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request that has to succeed."""
        answer = self._session.request(method, f"{self._url}{path}", json=body, timeout=20)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def fill(self, provider: LoopbackProvider) -> Mapping[str, int]:
        """Providers in every state, agents, tasks, people, usage. Returns the ids for PAGES."""
        providers = self._providers(provider)
        for name, (used, model) in AGENTS.items():
            step = {"provider_id": providers[used], "model_name": model, "temperature": 0.2}
            agent = self.call("POST", "/agents", {"name": name, **step, "max_tokens": 2000})
            fallback = {"provider_id": providers["local"], "model_name": "mistral:7b-instruct"}
            self.call("POST", f"/agents/{agent['agent_id']}/llm-configs", fallback)
        task = self.call("POST", "/tasks", {"name": "Trading signal", "response_schema": SCHEMA})
        self.call("POST", "/tasks", {"name": "Daily summary"})
        for slug in ("equity-analyst", "risk-officer"):
            self.call("POST", f"/agents/{slug}/tasks", {"task_id": task["id"]})
        self.call("PATCH", "/agents/equity-analyst", {"llm_temperature": 0.1})
        self.call("PATCH", "/agents/equity-analyst", {"system_prompt": "You weigh the market."})
        self.call("POST", "/agents/order-router/halt", {"reason": "venue is down"})
        self.call("PATCH", "/agents/default", {"provider_id": providers["local"]})
        self._people()
        hook = {"name": "pager", "url": f"http://{provider.address}/hook"}
        webhook = self.call("POST", "/webhooks", hook)["id"]
        price = self._money(providers)
        self._usage()
        self._wait_for_checks(provider, providers)
        agent_id = self.call("GET", "/agents/equity-analyst")["id"]
        return {
            "provider": providers["openai"],
            "agent": agent_id,
            "task": task["id"],
            "price": price,
            "webhook": webhook,
        }

    def _providers(self, provider: LoopbackProvider) -> dict[str, int]:
        local, key = provider.openai_url, provider.key
        wanted = {
            "openai": {"type": "openai_compatible", "base_url": local, "api_key": key},
            "anthropic": {"type": "anthropic", "base_url": local, "api_key": key},
            "local": {"type": "ollama", "base_url": provider.ollama_url, "api_key": key},
            "backup": {"type": "openai_compatible", "base_url": local, "api_key": "sk-wrong"},
            "grok": {"type": "grok"},
        }
        return {
            name: self.call("POST", "/providers", {"name": name, **body})["id"]
            for name, body in wanted.items()
        }

    def _people(self) -> None:
        for name, role in (("grace", "operator"), ("linus", "viewer")):
            body = {"email": f"{name}@example.com", "password": "a long password", "role": role}
            self.call("POST", "/users", body)
        scopes = ["config:read", "secrets:read", "usage:write"]
        bound = {"name": "research desk", "scopes": scopes, "agents": ["equity-analyst"]}
        self.call("POST", "/tokens", bound)
        self.call("POST", "/tokens", {"name": "dashboard", "scopes": ["config:read"]})

    def _money(self, providers: Mapping[str, int]) -> int:
        """Prices and budgets, one of them spent. Returns the id of a price."""
        body = {"provider_id": providers["openai"], "note": "What the contract says."}
        long_ago = "2026-01-01T00:00:00Z"
        prices = (
            {"model": "gpt-4.1", "input_per_1m": "2.00", "output_per_1m": "8.00"},
            {"model": "gpt-4.1-nano", "input_per_1m": "0.10", "output_per_1m": "0.40"},
        )
        ids = [
            self.call("POST", "/prices", body | it | {"valid_from": long_ago})["id"]
            for it in prices
        ]
        budgets = (
            {"name": "All of it", "scope": "all", "warn_at": "40", "block_at": "50"},
            {"name": "Analyst", "scope": "agent", "agent_id": "equity-analyst", "warn_at": "0.03"},
            {"name": "Routing", "scope": "agent", "agent_id": "order-router", "block_at": "0.01"},
        )
        for budget in budgets:
            self.call("POST", "/budgets", budget | {"period": "month"})
        return int(ids[0])

    def _usage(self) -> None:
        chance = random.Random(7)  # the same pictures every time
        now = datetime.now(UTC)
        events = [
            {
                "event_id": f"show-{day}-{number}",
                "agent_id": (slug := chance.choice([_slug(name) for name in AGENTS])),
                "provider": "openai" if number % 3 else "anthropic",
                "model": chance.choice(OPENAI_MODELS) if number % 3 else "claude-sonnet-4-5",
                "input_tokens": chance.randint(400, 9000),
                "output_tokens": chance.randint(50, 1500),
                "started_at": (now - timedelta(days=day, minutes=number)).isoformat(),
                "latency_ms": chance.randint(300, 4000),
                "status": "error" if chance.random() < 0.06 else "ok",
                "task": "Trading signal" if slug == "equity-analyst" else None,
            }
            for day in range(DAYS)
            for number in range(CALLS_A_DAY)
        ]
        self.call("POST", "/usage", {"events": events})

    def _wait_for_checks(self, provider: LoopbackProvider, ids: Mapping[str, int]) -> None:
        def state(name: str) -> str:
            return str(self.call("GET", f"/providers/{ids[name]}")["validation_status"])

        def settled() -> bool:
            return state("openai") == "connected" and state("backup") == "error"

        def checks() -> int:
            return int(self.call("GET", f"/providers/{ids['openai']}/checks")["total"])

        wait_until(settled, "the providers are checked", timeout=120, every=0.2)
        for seconds in (0.05, 0.2, 0.1):  # so that the chart has a shape
            provider.answer_slowly(seconds)
            expected = checks() + 1
            self.call("POST", f"/providers/{ids['openai']}/validate")
            wait_until(lambda n=expected: checks() >= n, "checked again", timeout=120, every=0.2)
        provider.answer_ok()


def _slug(name: str) -> str:
    return name.lower().replace(" ", "-")
