"""Which present step an item of a document goes on with: keys stay with what they are for."""

from types import SimpleNamespace
from typing import Any

import pytest

from app.transfer.sections.agents import match_steps

HERE, THERE = "https://here.example/v1", "https://there.example/v1"


def steps(*present: tuple[str, str | None, str]) -> list[Any]:
    return [
        SimpleNamespace(id=number, provider=SimpleNamespace(name=name), endpoint=url, model_name=it)
        for number, (name, url, it) in enumerate(present)
    ]


def items(*wanted: tuple[str, str | None, str]) -> list[dict[str, Any]]:
    return [
        {"provider": {"name": name}, "endpoint": url, "model_name": it} for name, url, it in wanted
    ]


A, B = ("openai", None, "gpt-4.1"), ("openai", None, "gpt-5")
C, D = ("ollama", HERE, "mistral"), ("ollama", THERE, "mistral")


@pytest.mark.parametrize(
    ("present", "wanted", "ids"),
    [
        ((A, B, C), (A, B, C), [0, 1, 2]),
        ((A, B, C), (C, B, A), [2, 1, 0]),
        ((A, B, C), (B,), [1]),
        ((A,), (B, A), [None, 0]),  # what is the same is not taken by what is only like it
        ((A, B), (("openai", None, "o9"), A), [1, 0]),
        ((C,), (D,), [0]),
        ((A, C), (D, B), [1, 0]),
        ((A,), (C,), [0]),  # another target: the services clear the key
        ((A, A), (A, A, A), [0, 1, None]),
        ((), (A,), [None]),
        ((A,), (), []),
    ],
)
def test_the_likest_go_together(present: Any, wanted: Any, ids: list[int | None]) -> None:
    assert match_steps(steps(*present), items(*wanted)) == ids
