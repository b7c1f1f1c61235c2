"""The README's examples, one after the other as a newcomer tries them."""

import re
from types import SimpleNamespace
from typing import Any

import pytest
from switchyard_client import Timings

from tests.support.fault_server import FaultServer, agent
from tests.support.processes import ROOT


class OpenAI:
    """As far as the README uses it; the real one is tried in tests/frameworks."""

    def __init__(self, *, base_url: str, api_key: str, timeout: float, max_retries: int) -> None:
        self.chat = SimpleNamespace(completions=self)

    def create(self, *, model: str, messages: list[Any]) -> dict[str, Any]:
        return {"model": model, "usage": {"prompt_tokens": 3, "completion_tokens": 2}}


def test_the_examples_run(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.put(agent("market-analyst"))
    monkeypatch.setenv("SWITCHYARD_URL", server.url)
    monkeypatch.setenv("SWITCHYARD_TOKEN", "token-1")
    for name in ("first_read", "close"):  # a busy machine takes its time
        monkeypatch.setitem(Timings.__init__.__kwdefaults__, name, 60.0)
    text = (ROOT / "client" / "README.md").read_text()
    names: dict[str, Any] = {"OpenAI": OpenAI, "messages": []}
    for example in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(example, names)
    assert capsys.readouterr().out == "gpt-4.1\n"
    assert names["client"].status == "CLOSED"
    [event] = server.usage.values()
    assert (event["agent_id"], event["input_tokens"]) == ("market-analyst", 3)
