"""The API reference is what the docstrings say, and they say something about every public name."""

import pytest
import switchyard_client

from scripts.client_reference import Entry, modules, page
from tests.support.processes import ROOT


def test_the_page_is_up_to_date() -> None:
    written = (ROOT / "docs" / "client-api.md").read_text()
    assert written == page(), "run: python -m scripts.client_reference"


@pytest.mark.parametrize("module", modules())
def test_every_public_name_is_documented(module: str) -> None:
    assert [name for entry in modules()[module] for name in entry.undocumented] == []


def test_nothing_that_is_exported_is_left_out() -> None:
    listed = {entry.name for entry in modules()["switchyard_client"]}
    assert listed == set(switchyard_client.__all__)


def test_an_entry_knows_what_is_not_documented() -> None:
    entry = Entry("A", "class A", "Said.", [Entry("x", "x: int", ""), Entry("y", "y: int", "Too.")])
    assert entry.undocumented == ["A.x"]
