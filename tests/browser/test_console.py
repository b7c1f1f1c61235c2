"""The main way through the admin interface, as an admin walks it."""

import itertools
import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PROVIDER_KEY, Stack, sign_in

_numbers = itertools.count(1)


@pytest.fixture
def provider(admin: Page, stack: Stack) -> str:
    """The name of a provider registered in the browser, with the page on the list."""
    name = f"loop-{next(_numbers)}"
    register(admin, name, stack.provider.openai_url, PROVIDER_KEY)
    expect(badge(admin, name)).to_be_visible()
    return name


def register(page: Page, name: str, url: str, key: str) -> None:
    page.get_by_role("link", name="Providers").first.click()
    page.get_by_role("link", name="New provider").click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Type").select_option("openai")
    usual = "https://api.openai.com/v1"
    expect(page.get_by_label("Base URL")).to_have_attribute("placeholder", usual)
    page.get_by_label("Type").select_option("openai_compatible")
    page.get_by_label("Base URL").fill(url)
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Save").click()


def badge(page: Page, name: str) -> Locator:
    return page.locator(f".status[data-name={name}]")


def test_signing_in_with_a_wrong_password_says_so_and_nothing_more(page: Page) -> None:
    page.goto("/admin/settings/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    sign_in(page, "wrong")
    expect(page.get_by_role("alert")).to_be_visible()
    # The one question of this page, which a change may call for at any time, and which would be
    # refused after the sign-out.
    at_ease = {"halted": False, "halted_reason": None, "halted_agents": 0}
    page.route("**/api/halt", lambda route: route.fulfill(json=at_ease))
    sign_in(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Settings")
    expect(page.locator("#live-state")).to_have_text("live")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_what_changed_before_the_socket_was_open_is_caught_up_with(admin: Page) -> None:
    admin.add_init_script("""
        const find = document.querySelector.bind(document);
        document.querySelector = (it) => it === "meta[name=rev]" ? { content: "0" } : find(it);
    """)
    with admin.expect_response("**/api/halt"):
        admin.goto("/admin/settings/")


def test_a_provider_turns_connected_before_one_s_eyes(
    admin: Page, stack: Stack, provider: str
) -> None:
    expect(badge(admin, provider)).to_have_text("connected")
    stack.provider.answer_status(503)
    admin.get_by_role("button", name=f"Validate {provider}").click()
    expect(admin.get_by_role("status")).to_contain_text("is being checked")
    expect(badge(admin, provider)).to_have_text("error")
    expect(admin.locator("tr", has_text=provider)).to_contain_text("failing (HTTP 503)")


def test_a_status_arrives_over_the_socket_without_a_reload(
    admin: Page, stack: Stack, provider: str
) -> None:
    expect(badge(admin, provider)).to_have_text("connected")
    expect(admin.locator("#live-state")).to_have_text("live")
    admin.evaluate("window.stayed = true")
    # Somebody else asks for a check: of a settled provider this page hears by the socket only.
    other = admin.context.new_page()
    other.goto(admin.url)
    stack.provider.answer_status(401)
    other.get_by_role("button", name=f"Validate {provider}").click()
    expect(badge(admin, provider)).to_have_text("error")
    expect(admin.get_by_role("status")).to_contain_text(f"{provider}: The key was refused")
    assert admin.evaluate("window.stayed")


def test_an_agent_gets_its_model_and_a_fallback(admin: Page, provider: str) -> None:
    admin.get_by_role("link", name="Agents").first.click()
    admin.get_by_role("link", name="New agent").click()
    admin.get_by_label("Name").fill("Market Analyst")
    admin.get_by_role("button", name="Add a step").click()
    for number, model in enumerate(("loop-large", "loop-small")):
        step = admin.locator("[data-step]").nth(number)
        step.get_by_label("Provider").select_option(label=provider)
        step.get_by_label("Model").fill(model)
    step.get_by_label("Temperature").fill("0.1")
    step.get_by_role("button", name="Move up").click()
    admin.get_by_role("button", name="Save").click()
    row = admin.locator("tr", has_text="market-analyst")
    expect(row.locator(".chip b")).to_have_text(["loop-small", "loop-large"])
    row.get_by_role("link", name="Edit Market Analyst").click()
    expect(admin.get_by_label("Temperature").first).to_have_value("0.1")
    admin.get_by_role("button", name="Remove").first.click()
    admin.get_by_role("button", name="Save").click()
    expect(row.locator(".chip b")).to_have_text(["loop-large"])
    row.get_by_role("button", name="Set default").click()
    expect(row).to_contain_text("★ default")


def test_what_is_refused_is_marked_focused_and_nothing_typed_is_lost(admin: Page) -> None:
    admin.goto("/admin/agent/new/")
    admin.get_by_label("Description").fill("kept")
    admin.get_by_role("button", name="Save").click()
    name = admin.get_by_label("Name")
    expect(name).to_be_focused()
    expect(name).to_have_accessible_description("This is required.")
    expect(admin.get_by_label("Description")).to_have_value("kept")
    expect(admin.get_by_role("status")).to_contain_text("Not saved")


def test_a_stale_save_shows_mine_and_theirs(admin: Page) -> None:
    admin.get_by_role("link", name="Agents").first.click()
    admin.get_by_role("link", name="Edit Default Agent").click()
    other = admin.context.new_page()
    other.goto(admin.url)
    other.get_by_label("Description").fill("theirs")
    other.get_by_role("button", name="Save").click()
    expect(other.get_by_role("status")).to_contain_text("is saved")
    admin.get_by_label("Description").fill("mine")
    admin.get_by_role("button", name="Save").click()
    conflict = admin.get_by_role("alert")
    expect(conflict).to_contain_text("Somebody else saved this agent")
    row = conflict.get_by_role("row", name="Description")
    expect(row.get_by_role("cell")).to_have_text(["theirs", "mine"])
    admin.get_by_role("link", name="Load what is stored").click()
    expect(admin.get_by_label("Description")).to_have_value("theirs")


def test_a_delete_asks_first(admin: Page, provider: str) -> None:
    expect(badge(admin, provider)).to_have_text("connected")
    delete = admin.get_by_role("button", name=f"Delete {provider}")
    delete.click()
    dialog = admin.get_by_role("dialog")
    expect(dialog).to_contain_text(f"Delete the provider {provider}?")
    admin.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(delete).to_be_visible()
    delete.click()
    dialog.get_by_role("button", name="Delete").click()
    expect(admin.get_by_role("status")).to_contain_text(f"Provider {provider} is deleted.")
    expect(delete).to_have_count(0)


def test_what_somebody_else_deletes_is_gone(admin: Page, provider: str) -> None:
    expect(badge(admin, provider)).to_have_text("connected")
    expect(admin.locator("#live-state")).to_have_text("live")
    other = admin.context.new_page()
    other.goto(admin.url)
    other.get_by_role("button", name=f"Delete {provider}").click()
    other.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(admin.locator("tr", has_text=provider)).to_have_count(0)


def test_the_theme_is_remembered(admin: Page) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light = admin.evaluate(background)
    admin.get_by_role("button", name="Dark or light").click()
    dark = admin.evaluate(background)
    assert dark != light
    admin.reload()
    assert admin.evaluate(background) == dark


def test_the_api_s_docs_work_under_their_policy(admin: Page) -> None:
    admin.get_by_role("link", name="API").click()
    expect(admin.get_by_text(re.compile("/api/agents$")).first).to_be_visible()
