"""The admin interface: every page, in the order in which the menu names them.

A page is one line below: its view, its name in the menu, the group it belongs to. Its endpoint is
how other pages and the command palette link to it.
"""

from flask import Flask

CONFIGURE, MONEY, WATCH, ADMINISTER = "Configure", "Money", "Watch", "Administer"


def init_app(app: Flask) -> None:
    """Put every page under /admin/."""
    from app.accounts.admin import TokenView, UserView
    from app.accounts.models import ApiToken, User
    from app.admin import new_admin
    from app.agents.halt_admin import HaltView
    from app.agents.llm_config_admin import LLMConfigView
    from app.agents.models import Agent, LLMConfig
    from app.agents.price_fill_admin import FilledPriceView
    from app.agents.voice_admin import VoiceView
    from app.changes.models import Change
    from app.health.admin import CheckedProviderView
    from app.pages.admin import OverviewView
    from app.pages.agent_admin import AgentPageView
    from app.pages.health_admin import HealthView
    from app.pages.search_admin import SearchView
    from app.pages.session_admin import SessionView
    from app.pages.settings_admin import SettingsView
    from app.prices.models import Price
    from app.providers.models import Provider
    from app.push.admin import ClientView
    from app.push.models import Client
    from app.tasks.admin import TaskView
    from app.tasks.models import Task
    from app.transfer.admin import TransferView
    from app.transfer.history_admin import RestorableHistoryView
    from app.usage.admin import CostsView
    from app.usage.budget_admin import BudgetView
    from app.usage.budget_models import Budget
    from app.usage.reprice_admin import RepriceView
    from app.webhooks.admin import WebhookView
    from app.webhooks.models import Webhook

    admin = new_admin(app, OverviewView(name="Overview"))
    add = admin.add_view

    add(CheckedProviderView(Provider, "Providers", CONFIGURE, "provider"))
    add(AgentPageView(Agent, "Agents", CONFIGURE, "agent"))
    add(LLMConfigView(LLMConfig, "LLM configs", CONFIGURE, "llm_config"))
    add(TaskView(Task, "Tasks", CONFIGURE, "task"))
    add(VoiceView(Agent, "Voice", CONFIGURE, "voice"))

    add(CostsView("Costs", MONEY, "costs"))
    add(BudgetView(Budget, "Budgets", MONEY, "budget"))
    add(FilledPriceView(Price, "Prices", MONEY, "price"))

    add(ClientView(Client, "Clients", WATCH, "client"))
    add(HealthView("Health and jobs", WATCH, "health_jobs"))
    add(RestorableHistoryView(Change, "History", WATCH, "history"))

    add(UserView(User, "Users and tokens", ADMINISTER, "user"))
    add(TokenView(ApiToken, "Users and tokens", ADMINISTER, "token"))
    add(WebhookView(Webhook, "Webhooks", ADMINISTER, "webhook"))
    add(TransferView("Import/export", ADMINISTER, "import_export"))
    add(SettingsView("Settings", ADMINISTER, "settings"))

    # The pages about money lead to this one; the others stand on every page.
    add(RepriceView("Correct costs", endpoint="reprice", url="/admin/costs/reprice"))
    add(HaltView("Red button", endpoint="red_button", url="/admin/halt"))
    add(SearchView("Search", endpoint="search"))
    add(SessionView("Session", endpoint="session"))
