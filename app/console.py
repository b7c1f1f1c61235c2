"""The admin interface: every page, in the order in which the menu names them.

A page is one line below: its view, its name in the menu, the group it belongs to. Its endpoint is
how other pages and the command palette link to it.
"""

from flask import Flask

CONFIGURE, WATCH, ADMINISTER = "Configure", "Watch", "Administer"


def init_app(app: Flask) -> None:
    """Put every page under /admin/."""
    from app.admin import new_admin
    from app.agents.halt_admin import HaltView
    from app.agents.llm_config_admin import LLMConfigView
    from app.agents.models import Agent, LLMConfig
    from app.agents.voice_admin import VoiceView
    from app.changes.admin import HistoryView
    from app.changes.models import Change
    from app.health.admin import CheckedProviderView
    from app.pages.admin import OverviewView
    from app.pages.agent_admin import AgentPageView
    from app.pages.search_admin import SearchView
    from app.providers.models import Provider
    from app.tasks.admin import TaskView
    from app.tasks.models import Task

    admin = new_admin(app, OverviewView(name="Overview"))
    add = admin.add_view

    add(CheckedProviderView(Provider, "Providers", CONFIGURE, "provider"))
    add(AgentPageView(Agent, "Agents", CONFIGURE, "agent"))
    add(LLMConfigView(LLMConfig, "LLM configs", CONFIGURE, "llm_config"))
    add(TaskView(Task, "Tasks", CONFIGURE, "task"))
    add(VoiceView(Agent, "Voice", CONFIGURE, "voice"))

    add(HistoryView(Change, "History", WATCH, "history"))

    # These stand on every page instead of in the menu.
    add(HaltView("Red button", endpoint="red_button", url="/admin/halt"))
    add(SearchView("Search", endpoint="search"))
