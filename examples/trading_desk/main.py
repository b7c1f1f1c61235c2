"""Run the desk on this machine: python examples/trading_desk/main.py"""

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from desk import ANALYSTS, Desk
from provider import Provider
from switchyard_client import AgentHalted, AgentTask, Prices, Prompts
from switchyard_client.testing import TestData

DECISION = {
    "type": "object",
    "properties": {
        "side": {"enum": ["buy", "sell", "hold"]},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "required": ["side", "confidence"],
}
PRICES = {
    "large": Prices(
        cost_per_1k_input_tokens=Decimal("0.002"), cost_per_1k_output_tokens=Decimal("0.008")
    ),
    "small": Prices(
        cost_per_1k_input_tokens=Decimal("0.0001"), cost_per_1k_output_tokens=Decimal("0.0004")
    ),
}


def main() -> None:
    with Provider(down=True) as broken, Provider() as sound:
        data = configuration(broken.url, sound.url)
        with data.client() as client:
            desk = Desk(client)
            work(desk, data)
            client.flush_usage()
        report(data.usage)


def configuration(broken: str, sound: str) -> TestData:
    """What an admin would set up: who runs on what, and what steps in."""
    data = TestData()
    first_choice, fallback = step("large", broken), step("small", sound)
    for name in ("market-analyst", "news-analyst"):
        data.agent(name, **first_choice, fallbacks=[fallback], **role(name))
    data.agent("risk-manager", **fallback, **role("risk-manager"))
    task = AgentTask(name="decision", response_schema=DECISION)
    data.agent("trader", **step("large", sound), tasks=[task], **role("trader"))
    return data


def step(model: str, endpoint: str) -> dict[str, Any]:
    return {
        "provider": "openai_compatible",
        "model": model,
        "endpoint": endpoint,
        "api_key": "sk-example",
        "prices": PRICES[model],
    }


def role(name: str) -> dict[str, Any]:
    return {"prompts": Prompts(system_prompt=f"You are the {name}. Be brief.")}


def work(desk: Desk, data: TestData) -> None:
    """A decision, a change by the admin, another decision, the red button."""
    for ticker in ("NVDA", "AMD"):
        print(ticker)
        opinions = desk.discuss(ticker)
        for name in ANALYSTS:
            print(f"  {name:15} {opinions[name]}")
        decision = desk.decide(ticker, opinions)
        print(f"  {'trader':15} {decision.side}, {decision.confidence:.0%} sure")
        data.update("trader", model="small", prices=PRICES["small"])
    data.halt("trader", "enough for today")
    try:
        desk.decide("INTC", {})
    except AgentHalted as error:
        print(f"INTC\n  {error}")


def report(events: list[dict[str, Any]]) -> None:
    """Who answered, and what it cost. A server does this sum itself, for every agent and day."""
    print(f"\n{'agent':15} {'model':6} {'step':>4} {'status':7} {'tokens':>8} {'cost':>12}")
    total = Decimal(0)
    for event in events:
        spent, cost = tokens(event), price(event)
        total += cost
        print(
            f"{event['agent_id']:15} {event['model']:6} {event['attempt']:4} {event['status']:7}"
            f" {spent:>8} {cost:>12.8f}"
        )
    print(f"{'':43} {total:>12.8f} USD")


def tokens(event: dict[str, Any]) -> str:
    return f"{event.get('input_tokens', 0)}+{event.get('output_tokens', 0)}"


def price(event: dict[str, Any]) -> Decimal:
    prices = PRICES[event["model"]]
    paid = (prices.cost_per_1k_input_tokens or 0) * event.get("input_tokens", 0)
    produced = (prices.cost_per_1k_output_tokens or 0) * event.get("output_tokens", 0)
    return Decimal(paid + produced) / 1000


if __name__ == "__main__":
    main()
