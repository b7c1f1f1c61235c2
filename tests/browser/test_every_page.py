"""Every page of the console is for everybody: landmarks, the keyboard, and axe in either theme."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Stack
from tests.conftest import ADMIN_TOKEN
from tests.support.showcase import PAGES, Showcase

AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
# All of WCAG in one theme; in the other, what a theme changes.
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
COLOURS = ["color-contrast", "link-in-text-block"]
GRAVE = {"serious", "critical"}
TOO_WIDE = """[...document.querySelectorAll("html, .table-scroll")]
    .filter((it) => it.scrollWidth > it.clientWidth)
    .map((it) => `${it.ariaLabel}: ${it.scrollWidth} > ${it.clientWidth}`)"""
IN_THE_MENU = {
    "Overview",
    "Providers",
    "Agents",
    "LLM configs",
    "Tasks",
    "Voice",
    "Users and tokens",
    "Clients",
    "History",
    "Health and jobs",
    "Import/export",
    "Settings",
}


@pytest.fixture(scope="package")
def ids(stack: Stack) -> Mapping[str, int]:
    """Something on every page."""
    showcase = Showcase(stack.url, ADMIN_TOKEN)
    found = showcase.fill(stack.provider)
    showcase.call("POST", "/agents/order-router/resume")  # other tests count who is halted
    return found


def test_every_page_is_for_everybody(admin: Page, ids: Mapping[str, int]) -> None:
    faults: list[str] = []
    for name, path in PAGES.items():
        admin.goto(path.format(**ids))
        expect(admin.locator("#live-state")).to_have_text("live")
        expect_landmarks(admin)
        admin.evaluate(AXE)
        part = "html" if name == "overview" else "main"  # what surrounds a page is always the same
        admin.evaluate("document.documentElement.dataset.theme = 'light'")
        faults += [f"{name}: {told}" for told in grave_faults(admin, part, WCAG)]
        admin.evaluate("document.documentElement.dataset.theme = 'dark'")
        faults += [f"{name}, dark: {told}" for told in grave_faults(admin, part, COLOURS)]
    assert faults == []


def test_the_menu_leads_everywhere(admin: Page) -> None:
    links = admin.get_by_role("navigation").get_by_role("link")
    assert {text.strip() for text in links.all_inner_texts()} >= IN_THE_MENU
    pages = {path.partition("?")[0] for path in PAGES.values()}
    paths = {str(link.get_attribute("href")) for link in links.all()}
    assert {path for path in paths if path.startswith("/admin")} <= pages


def test_a_phone_s_reader_need_not_scroll_sideways(admin: Page, ids: Mapping[str, int]) -> None:
    admin.set_viewport_size({"width": 320, "height": 700})
    for name in ("calls", "costs", "provider", "prices-fill", "agents", "llm-configs"):
        admin.goto(PAGES[name].format(**ids))
        assert admin.evaluate(TOO_WIDE) == [], name


def expect_landmarks(page: Page) -> None:
    """One h1, one nav, one main, and a skip link before everything."""
    assert page.locator("html").get_attribute("lang") == "en"
    for selector in ("h1", "nav", "main"):
        expect(page.locator(selector)).to_have_count(1)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()


def grave_faults(page: Page, part: str, rules: list[str]) -> list[str]:
    """What axe finds by rules or tags of rules, with the elements that it is about."""
    options = {"resultTypes": ["violations"], "runOnly": rules, "preload": False}
    found: dict[str, Any] = page.evaluate(
        "([part, options]) => axe.run(part, options)", [part, options]
    )
    grave = [it for it in found["violations"] if it["impact"] in GRAVE]
    return [f"{it['id']}: {'; '.join(n['html'][:120] for n in it['nodes'][:4])}" for it in grave]
