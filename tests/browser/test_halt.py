"""The red button as an operator in a hurry presses it, and as everybody else hears of it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, StorageState, expect

from tests.browser.conftest import Stack, guarded_page


@pytest.fixture
def colleague(admin: Page) -> Iterator[Page]:
    """Another open page, connected, that is never reloaded."""
    page = admin.context.new_page()
    page.goto("/admin/agent/")
    expect(page.locator("#live-state")).to_have_text("live")
    page.evaluate("window.stayed = true")
    yield page
    assert page.evaluate("window.stayed")


@pytest.fixture
def asking(admin: Page) -> Locator:
    """The dialog, which the keyboard opened from the overview."""
    button = admin.get_by_role("button", name="Halt all agents")
    button.focus()
    admin.keyboard.press("Enter")
    dialog = admin.get_by_role("dialog", name="Halt all agents?")
    expect(dialog.get_by_label("Reason")).to_be_focused()
    return dialog


def test_halting_all_by_keyboard_reaches_an_open_page_and_so_does_resuming(
    admin: Page, colleague: Page, asking: Locator
) -> None:
    admin.keyboard.type("flash <b>crash</b>")
    admin.keyboard.press("Enter")
    expect(admin.get_by_role("status")).to_contain_text("Halted: all agents.")
    halted = "All agents halted: flash <b>crash</b>"
    for page in (admin, colleague):
        expect(page.locator(".halt-state")).to_have_text(halted)
        expect(page.get_by_role("button", name="Halt all agents")).to_be_hidden()
    expect(colleague.get_by_role("status")).to_contain_text(halted)

    admin.get_by_role("button", name="Resume all agents").click()
    admin.get_by_role("dialog").get_by_role("button", name="Resume").click()
    expect(admin.get_by_role("status")).to_contain_text("All agents may go on")
    for page in (admin, colleague):
        expect(page.locator(".halt-state")).to_be_hidden()
        expect(page.get_by_role("button", name="Halt all agents")).to_be_visible()


def test_escape_halts_nothing_and_gives_the_focus_back(admin: Page, asking: Locator) -> None:
    admin.keyboard.type("a slip")
    admin.keyboard.press("Escape")
    expect(asking).to_be_hidden()
    button = admin.get_by_role("button", name="Halt all agents")
    expect(button).to_be_focused()
    admin.keyboard.press("Space")
    expect(asking.get_by_label("Reason")).to_have_value("")
    asking.get_by_role("button", name="Cancel").click()
    expect(asking).to_be_hidden()
    expect(admin.locator(".halt-state")).to_be_hidden()


def test_one_halted_agent_is_counted_on_an_open_page(admin: Page, colleague: Page) -> None:
    admin.goto("/admin/agent/")
    row = admin.locator("tr", has=admin.get_by_role("link", name="Default Agent", exact=True))
    row.get_by_role("button", name="Halt Default Agent").click()
    admin.get_by_role("dialog").get_by_label("Reason").fill("strange orders")
    admin.get_by_role("dialog").get_by_role("button", name="Halt").click()
    expect(row).to_contain_text("halted: strange orders")
    count = colleague.get_by_role("link", name="1 agent halted")
    expect(count).to_be_visible()
    row.get_by_role("button", name="Resume default").click()
    expect(admin.get_by_role("status")).to_contain_text("Default Agent is resumed.")
    expect(count).to_be_hidden()
    expect(colleague.locator(".halt-count")).to_have_text("0 agents halted")


def test_without_scripts_a_page_asks(
    browser: Browser, stack: Stack, session_cookie: StorageState
) -> None:
    plain = {"storage_state": session_cookie, "java_script_enabled": False}
    with guarded_page(browser, stack, **plain) as page:
        page.goto("/admin/agent/")
        page.get_by_role("button", name="Halt all agents").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Halt all agents")
        page.get_by_role("main").get_by_label("Reason").fill("no script")
        page.get_by_role("main").get_by_role("button", name="Halt", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Agents")
        expect(page.locator(".halt-state")).to_have_text("All agents halted: no script")
        page.goto("/admin/halt/")
        page.get_by_role("button", name="Resume all agents").last.click()
        expect(page.locator(".halt-state")).to_be_hidden()
