"""How each kind of thing goes back to what it was: one file a domain."""

from collections.abc import Mapping

from app.transfer.restorers.agents import restore_agent, restore_speech, restore_step
from app.transfer.restorers.base import Restorer, Wish
from app.transfer.restorers.budgets import restore_budget
from app.transfer.restorers.providers import restore_provider
from app.transfer.restorers.tasks import restore_assignment, restore_task
from app.transfer.restorers.webhooks import restore_webhook

__all__ = ["RESTORERS", "Wish"]

RESTORERS: Mapping[str, Restorer] = {
    "agent": restore_agent,
    "assignment": restore_assignment,
    "budget": restore_budget,
    "llm_config": restore_step,
    "provider": restore_provider,
    "speech_config": restore_speech,
    "task": restore_task,
    "webhook": restore_webhook,
}
"""By entity. Accounts are left out: a restored role or token would open what was closed."""
