"""The adapters: one file, or one row of ``compatible.py`` or ``speech.py``, a type."""

from app.providers.adapters.anthropic import ANTHROPIC
from app.providers.adapters.base import (
    Adapter,
    ProbeResult,
    Target,
    find_adapter,
    get_adapter,
    list_types,
    register,
    usual_capability,
)
from app.providers.adapters.calls import CallResult, CallUsage
from app.providers.adapters.compatible import COMPATIBLE
from app.providers.adapters.google import GOOGLE
from app.providers.adapters.ollama import OLLAMA
from app.providers.adapters.openai import OPENAI
from app.providers.adapters.speech import SPEECH

__all__ = [
    "Adapter",
    "CallResult",
    "CallUsage",
    "ProbeResult",
    "Target",
    "find_adapter",
    "get_adapter",
    "list_types",
    "usual_capability",
]

for _adapter in (OLLAMA, OPENAI, ANTHROPIC, GOOGLE, *COMPATIBLE, *SPEECH):
    register(_adapter)
