"""Every domain's models, in one import, for Alembic and for `core.db.referrers`."""

from app.accounts.models import ApiToken, User
from app.agents.agent_test_models import AgentTest
from app.agents.models import Agent, GlobalHalt, LLMConfig, SpeechConfig
from app.changes.models import Change, ConfigState
from app.core.models import EncryptionCanary
from app.health.models import ProviderAlert, ProviderCheck
from app.prices.models import Price
from app.providers.models import Provider
from app.push.models import Client
from app.tasks.models import Assignment, Task
from app.usage.budget_models import Budget, BudgetSpend
from app.usage.models import (
    UsageEvent,
    UsageEventId,
    UsageRepricing,
    UsageSeries,
    UsageState,
)
from app.webhooks.models import Webhook, WebhookDelivery

__all__ = [
    "Agent",
    "AgentTest",
    "ApiToken",
    "Assignment",
    "Budget",
    "BudgetSpend",
    "Change",
    "Client",
    "ConfigState",
    "EncryptionCanary",
    "GlobalHalt",
    "LLMConfig",
    "Price",
    "Provider",
    "ProviderAlert",
    "ProviderCheck",
    "SpeechConfig",
    "Task",
    "UsageEvent",
    "UsageEventId",
    "UsageRepricing",
    "UsageSeries",
    "UsageState",
    "User",
    "Webhook",
    "WebhookDelivery",
]
