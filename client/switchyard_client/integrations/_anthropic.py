"""What the installed `anthropic` package still takes of a step."""

from functools import cache
from inspect import signature
from typing import Any

from .._models import LLMStep
from .._sdk import parameters


def anthropic_parameters(step: LLMStep) -> dict[str, Any]:
    """The step's parameters without those that this version would be refused for.

    From version 1 on the SDK's methods take no `temperature` and no `top_p`; the API version that
    2 asks for answers them with 400.
    """
    return {name: value for name, value in parameters(step).items() if name in _taken()}


@cache
def _taken() -> frozenset[str]:
    from anthropic.resources.messages import Messages

    return frozenset(signature(Messages.create).parameters)
