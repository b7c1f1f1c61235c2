"""What a fresh Switchyard starts with (row H6). Idempotent, also for two at once."""

from app.agents import services as agents
from app.core.db import db, lock
from app.core.errors import Conflict

DEFAULT_AGENT = {
    "agent_id": "default",
    "name": "Default Agent",
    "description": "Fallback agent for unconfigured requests",
    "llm_provider": "ollama",
    "llm_model": "mistral:7b-instruct",
}


def seed() -> list[str]:
    """Make the default agent and its ollama provider where there is no global default yet.

    Returns what was made, for people. Commits.
    """
    lock("seed")
    if agents.find_default(None) is not None:
        db.session.rollback()  # nothing to do: give the lock back
        return []
    try:
        agents.create_agent({**DEFAULT_AGENT, "is_default": True})
    except Conflict:
        # Somebody has an agent called "default" that is none: theirs to decide.
        return []
    return ["agent default", "provider ollama"]
