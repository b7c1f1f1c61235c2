"""axe on every page of the console, in either theme."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Stack
from tests.conftest import ADMIN_TOKEN
from tests.support.showcase import PAGES, Showcase

AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
# All rules in one theme; in the other, what a theme changes.
EVERYTHING = {"resultTypes": ["violations"]}
COLOURS = EVERYTHING | {"runOnly": ["color-contrast", "link-in-text-block"]}
GRAVE = {"serious", "critical"}


@pytest.fixture(scope="session")
def ids(stack: Stack) -> Mapping[str, int]:
    """Something on every page."""
    showcase = Showcase(stack.url, ADMIN_TOKEN)
    found = showcase.fill(stack.provider)
    showcase.call("POST", "/agents/order-router/resume")  # other tests count who is halted
    return found


@pytest.mark.parametrize(("theme", "options"), [("light", EVERYTHING), ("dark", COLOURS)])
def test_axe_finds_nothing_grave_on_any_page(
    admin: Page, ids: Mapping[str, int], theme: str, options: dict[str, Any]
) -> None:
    admin.evaluate("theme => localStorage.setItem('switchyard-theme', theme)", theme)
    faults: list[str] = []
    for name, path in PAGES.items():
        admin.goto(path.format(**ids))
        expect(admin.locator("#live-state")).to_have_text("live")
        admin.evaluate(AXE)
        found = admin.evaluate("options => axe.run(document, options)", options)
        faults += [f"{name}: {told}" for told in map(_told, found["violations"]) if told]
    assert faults == []


def _told(violation: dict[str, Any]) -> str:
    """A grave violation with the elements that it is about."""
    if violation["impact"] not in GRAVE:
        return ""
    nodes = "; ".join(node["html"][:120] for node in violation["nodes"][:4])
    return f"{violation['id']}: {nodes}"
