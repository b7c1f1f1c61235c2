"""The one table of spellings: an agent's flat form, its chain's step form, A9's nested form."""

from typing import Any

from app.core.errors import Invalid

FLAT_TO_STEP = {
    "llm_provider": "provider",
    "llm_endpoint": "endpoint",
    "llm_model": "model_name",
    "llm_timeout": "timeout",
    "llm_temperature": "temperature",
    "llm_top_p": "top_p",
    "llm_max_tokens": "max_tokens",
    "llm_api_key": "api_key",
}
STEP_TO_FLAT = {step: flat for flat, step in FLAT_TO_STEP.items()}
STEP_ONLY = frozenset({"provider_id"})
NESTED = "llm_provider_config"
NESTED_TO_STEP = {
    "provider": "provider",
    "provider_id": "provider_id",
    "model": "model_name",
    "api_url": "endpoint",
    "completions_path": "completions_path",
    "api_key": "api_key",
    "timeout": "timeout",
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_tokens",
}


def take_step(data: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Take the step's fields out of an agent's ``data``, in whichever form they were sent.

    Returns the step's fields under their step names, and under which name each was sent, so that
    an error names what the caller wrote. Raises Invalid where the same thing stands in both forms.
    """
    step: dict[str, Any] = {}
    sent_as: dict[str, str] = {}
    nested = data.pop(NESTED, None)
    for flat, name in FLAT_TO_STEP.items():
        if flat in data and name in data:
            raise Invalid.field(flat, f"The same thing is sent as {name}: send one of the two.")
        for spelling in (flat, name):
            if spelling in data:
                step[name] = data.pop(spelling)
                sent_as[name] = spelling
    for name in STEP_ONLY & data.keys():
        if "provider" in step:
            raise Invalid.field(name, f"The same thing is sent as {sent_as['provider']}.")
        step[name] = data.pop(name)
        sent_as[name] = name
    if nested is None:
        return step, sent_as
    if step:
        message = f"The same thing is sent as {next(iter(sent_as.values()))}: send one of the two."
        raise Invalid.field(NESTED, message)
    return _from_nested(nested)


def _from_nested(nested: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    step = {NESTED_TO_STEP[name]: value for name, value in nested.items()}
    return step, {step_name: f"{NESTED}.{name}" for name, step_name in NESTED_TO_STEP.items()}


def spelled(name: str, sent_as: dict[str, str]) -> str:
    """How the caller spells a step's field that was not sent, judging by those that were."""
    if name in sent_as:
        return sent_as[name]
    return STEP_TO_FLAT.get(name, name) if is_flat(sent_as) else name


def is_flat(sent_as: dict[str, str]) -> bool:
    """Whether the caller speaks the flat form."""
    return any(sent in FLAT_TO_STEP for sent in sent_as.values())


def to_flat(step: dict[str, Any]) -> dict[str, Any]:
    """A step's fields under their flat names; what has none keeps its own."""
    return {STEP_TO_FLAT.get(name, name): value for name, value in step.items()}
