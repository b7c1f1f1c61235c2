"""`make demo` says which step did not hold, and why."""

from contextlib import ExitStack

import pytest
import requests

from scripts import demo


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (demo.DemoError("nothing came"), 1, "Failed: the agent reads: nothing came"),
        (requests.ConnectionError("refused"), 1, "Failed: the agent reads: refused"),
        (KeyboardInterrupt(), 130, "Stopped."),
    ],
)
def test_only_a_story_that_held_is_exit_code_0(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    told: str,
) -> None:
    def fail() -> None:
        raise error

    def play(_stack: ExitStack) -> None:
        demo._step("the agent reads", fail)

    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(demo, "_play", play)
    assert demo.main() == code
    said = capsys.readouterr()
    assert told in said.err
    assert "Every step held" not in said.out
    monkeypatch.setattr(demo, "_play", lambda _stack: None)
    assert demo.main() == 0
