"""The examples run, alone and as they are."""

import re
import subprocess
import sys

from tests.support.processes import ROOT


def test_the_trading_desk() -> None:
    """One failure in all: after it nobody waits for the provider that is down."""
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "trading_desk" / "main.py"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    said, bill = done.stdout.split("\n\n")
    assert said.count("hold, 70% sure") == 2
    assert "agent trader is halted: enough for today" in said
    rows = re.findall(r"^([a-z-]+) +(large|small) +(\d) (ok|error)", bill, re.MULTILINE)
    assert [row for row in rows if row[3] == "error"] == [("market-analyst", "large", "0", "error")]
    answered = {agent: model for agent, model, _, status in rows if status == "ok"}
    assert set(answered) == {"market-analyst", "news-analyst", "risk-manager", "trader"}
    assert [row[1] for row in rows if row[0] == "trader"] == ["large", "small"]
    costs = [float(cost) for cost in re.findall(r"(\d\.\d{8})$", bill, re.MULTILINE)]
    total = float(re.findall(r"(\d\.\d{8}) USD", bill)[0])
    assert round(sum(costs), 8) == total > 0
