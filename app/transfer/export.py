"""The whole configuration as a document, without secrets."""

from app.transfer.document import Document
from app.transfer.sections import SECTIONS


def export_document() -> Document:
    """Every section, its items by name. Reads in the transaction that the session is in."""
    return {section.name: section.dump_rows(section.load_rows()) for section in SECTIONS}
