"""The sections of a configuration document: one file a domain, in the order they build on."""

from app.transfer.sections.agents import Agents
from app.transfer.sections.base import Section
from app.transfer.sections.budgets import Budgets
from app.transfer.sections.providers import Providers
from app.transfer.sections.tasks import Tasks
from app.transfer.sections.webhooks import Webhooks

__all__ = ["SECTIONS", "SHAPES", "Section"]

SECTIONS: tuple[Section, ...] = (Providers(), Tasks(), Agents(), Budgets(), Webhooks())
SHAPES = tuple(section.shape for section in SECTIONS)
