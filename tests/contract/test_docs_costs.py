"""docs/costs.md: the bill is what the server makes of the page's own numbers."""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.conftest import Api

PAGE = (Path(__file__).parents[2] / "docs" / "costs.md").read_text()


def tables() -> list[list[dict[str, str]]]:
    """Every table of the section, a dict a row."""
    section = PAGE.partition("## One bill")[2].partition("\n## ")[0]
    found = []
    for table in re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE):
        header, _line, *rows = [
            [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()
        ]
        found.append([dict(zip(header, row, strict=True)) for row in rows])
    return found


def shown(value: Any) -> str:
    return "null" if value is None else str(value)


@pytest.mark.parametrize("backend", ["sqlite"])
def test_the_bill_is_right(app: Flask, api: Api) -> None:
    chain, batch = (json.loads(it) for it in re.findall(r"^```json\n(.*?)^```", PAGE, re.M | re.S))
    by_event, by_day, by_day_in_berlin = tables()
    assert api("POST", "/agents", {"name": "Market Analyst"}).status_code == 201
    assert api("PUT", "/agents/market-analyst/llm-configs", chain).status_code == 200
    number = len(batch["events"])
    assert api("POST", "/usage", batch).json["accepted"] == number
    assert api("POST", "/usage", batch).json["duplicates"] == number == len(by_event)

    events = {it["event_id"]: it for it in api("GET", "/usage/events").json["events"]}
    for row in by_event:
        event = events[row["event"]]
        assert shown(event["cost"]) == row["cost"]
        assert shown(event["price_source"]) == row["source"]
        products = re.findall(r"([\d,]+) x ([\d.]+)", row["how"])
        if products:
            computed = sum(int(n.replace(",", "")) * Decimal(rate) for n, rate in products)
            assert computed == Decimal(row["cost"])

    for zone, table in (("UTC", by_day), ("Europe/Berlin", by_day_in_berlin)):
        answer = api("GET", f"/usage/summary?group_by=day&tz={zone}").json
        rows = [{name: shown(row[name]) for name in table[0]} for row in answer["rows"]]
        assert rows == table
        assert answer["total"]["cost"] == by_day[0]["cost"]

    step = {"provider": "openai", "model_name": "desk-2", "cost_per_1k_input_tokens": "0.001"}
    step["cost_per_1k_output_tokens"] = "0.001"
    assert api("POST", "/agents/market-analyst/llm-configs", step).status_code == 201
    assert api("GET", "/usage/summary").json["total"]["cost"] == by_day[0]["cost"]
    runner = app.test_cli_runner()
    command = ["usage", "reprice", "--from", "2026-03-10", "--json"]
    assert json.loads(runner.invoke(args=[*command, "--dry-run"]).stdout)["changed"] == 1
    assert runner.invoke(args=command).exit_code == 0
    repriced = re.search(r"bill is ([\d.]+),", PAGE)
    assert repriced
    assert api("GET", "/usage/summary").json["total"]["cost"] == repriced[1]
