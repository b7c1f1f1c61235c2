"""The one table of the spellings."""

from typing import Any

import pytest

from app.agents.spelling import FLAT_TO_STEP, spelled, take_step, to_flat
from app.core.errors import Invalid


def test_the_table_is_the_contracts() -> None:
    assert FLAT_TO_STEP == {
        "llm_provider": "provider",
        "llm_endpoint": "endpoint",
        "llm_model": "model_name",
        "llm_timeout": "timeout",
        "llm_temperature": "temperature",
        "llm_top_p": "top_p",
        "llm_max_tokens": "max_tokens",
        "llm_api_key": "api_key",
    }


def test_the_steps_fields_are_taken_out_and_the_agents_stay() -> None:
    data: dict[str, Any] = {"name": "A", "llm_model": "m", "temperature": None}
    assert take_step(data) == (
        {"model_name": "m", "temperature": None},
        {"model_name": "llm_model", "temperature": "temperature"},
    )
    assert data == {"name": "A"}


@pytest.mark.parametrize(("flat", "step"), FLAT_TO_STEP.items())
def test_each_thing_is_sent_once(flat: str, step: str) -> None:
    with pytest.raises(Invalid) as caught:
        take_step({flat: 1, step: 1})
    assert caught.value.errors.keys() <= {flat, step}


def test_an_error_speaks_as_the_caller_does() -> None:
    assert spelled("model_name", {"provider": "llm_provider"}) == "llm_model"
    assert spelled("model_name", {"provider": "provider"}) == "model_name"
    assert spelled("provider", {"provider": "llm_provider"}) == "llm_provider"


def test_to_flat_renames_what_has_a_flat_name() -> None:
    assert to_flat({"model_name": "m", "enabled": True}) == {"llm_model": "m", "enabled": True}
