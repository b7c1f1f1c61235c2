"""The sections of a configuration document: one file a domain, in the order they build on."""

from app.transfer.sections.agents import Agents
from app.transfer.sections.base import Section
from app.transfer.sections.providers import Providers
from app.transfer.sections.tasks import Tasks

__all__ = ["SECTIONS", "SHAPES", "Section"]

SECTIONS: tuple[Section, ...] = (Providers(), Tasks(), Agents())
SHAPES = tuple(section.shape for section in SECTIONS)
