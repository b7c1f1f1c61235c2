"""Money in the browser: costs that follow, a price for what has none, a budget that is spent."""

import itertools
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, StorageState, expect

from tests.browser.conftest import Stack, guarded_page
from tests.conftest import ADMIN_TOKEN
from tests.support.showcase import Showcase

_numbers = itertools.count(1)


class Desk:
    """An agent of one test, and what it reports of a provider that only it uses."""

    def __init__(self, api: Showcase, slug: str, provider: str) -> None:
        self.api = api
        self.slug = slug
        self.provider = provider

    def report(self, **values: Any) -> None:
        """One call, which costs 0.0028 by the catalogue unless it says otherwise."""
        event = {
            "event_id": str(uuid4()),
            "agent_id": self.slug,
            "provider": self.provider,
            "model": "gpt-4.1",
            "input_tokens": 1000,
            "output_tokens": 100,
            "started_at": datetime.now(UTC).isoformat(),
            "status": "ok",
        }
        assert self.api.call("POST", "/usage", {"events": [event | values]})["accepted"] == 1


@pytest.fixture
def desk(stack: Stack) -> Desk:
    """A fresh agent, and a provider that nobody has set a price for."""
    api = Showcase(stack.url, ADMIN_TOKEN)
    slug = f"cost-desk-{next(_numbers)}"
    api.call("POST", "/agents", {"agent_id": slug, "name": slug})
    provider = {"name": f"{slug}-openai", "type": "openai", "base_url": stack.provider.openai_url}
    api.call("POST", "/providers", provider)
    return Desk(api, slug, provider["name"])


def test_costs_follow_and_a_sum_leads_to_its_calls(
    browser: Browser, stack: Stack, session_cookie: StorageState, desk: Desk
) -> None:
    desk.report(task="triage")
    berlin = {"storage_state": session_cookie, "timezone_id": "Europe/Berlin"}
    with guarded_page(browser, stack, **berlin) as page:
        page.goto(f"/admin/costs/?agent_id={desk.slug}")
        expect(page.locator("#total-cost")).to_have_text("0.0028")
        page.evaluate("window.stayed = true")
        desk.report(task="triage", cached_input_tokens=0)
        expect(page.locator("#total-cost")).to_have_text("0.0056")
        assert page.evaluate("window.stayed")

        page.get_by_role("button", name="Use Europe/Berlin").click()
        expect(page.get_by_label("Time zone")).to_have_value("Europe/Berlin")
        expect(page.locator(".lead")).to_contain_text("days in Europe/Berlin")

        page.get_by_label("agent", exact=True).uncheck()
        page.get_by_label("task", exact=True).check()
        page.get_by_label("model", exact=True).focus()
        page.keyboard.press("Space")
        page.keyboard.press("Enter")
        pivot = page.get_by_role("region", name="Cost by model and task")
        expect(pivot.get_by_role("row", name="gpt-4.1 triage")).to_contain_text("$0.0056")
        expect(page.locator("#total-cost")).to_have_text("0.0056")

        pivot.get_by_role("link", name="gpt-4.1").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Calls")
        calls = page.get_by_role("region", name="Calls")
        expect(calls.get_by_role("row")).to_have_count(3)
        calls.get_by_text("catalogue").first.click()
        expect(calls.locator("details[open]")).to_contain_text("0.0028 USD")
        with page.expect_download() as download:
            page.get_by_role("link", name="CSV").click()
        assert len(download.value.path().read_text().splitlines()) == 3


def test_what_has_no_price_gets_one(admin: Page, desk: Desk) -> None:
    model = f"in-house-{desk.slug}"
    desk.report(model=model)
    admin.goto(f"/admin/costs/?agent_id={desk.slug}")
    unpriced = admin.get_by_role("region", name="1 call has no price")
    expect(unpriced).to_contain_text(model)
    unpriced.get_by_role("link", name="Price it").click()
    expect(admin.get_by_label("Model")).to_have_value(model)
    admin.get_by_label("Input", exact=True).fill("0.000002")
    admin.get_by_label("Output", exact=True).fill("8")
    admin.get_by_role("button", name="Save").click()
    wrong = admin.get_by_label("Input", exact=True)
    expect(wrong).to_be_focused()
    expect(wrong).to_have_accessible_description(
        "0.000002 for a million tokens is outside what models cost, 0.001 to 1000. "
        "Is it the price of one token? Then it is 2 for a million tokens. "
        "Send force: true if it is right."
    )
    wrong.fill("2")
    admin.get_by_role("button", name="Save").click()
    expect(admin.get_by_role("status")).to_contain_text(f"Price openai {model} is created.")
    desk.report(model=model)
    expect(admin.locator("#total-cost")).to_have_text("0.0028")

    # What came before the price keeps its cost until somebody corrects it.
    admin.get_by_role("link", name="Correct costs").click()
    admin.get_by_role("button", name="Show what would change").click()
    changes = admin.get_by_role("region", name="Changes by model")
    expect(changes.get_by_role("row", name=model)).to_contain_text("unpriced")
    admin.get_by_role("button", name="Correct 1 cost").click()
    admin.get_by_role("dialog").get_by_role("button", name="Correct them").click()
    expect(admin.get_by_role("heading", name="What has changed")).to_be_visible()
    admin.get_by_role("link", name="Costs of this period").click()
    expect(admin.locator("#total-cost")).to_have_text("0.0056")


def test_a_budget_is_set_spent_and_seen(admin: Page, desk: Desk) -> None:
    admin.goto("/admin/budget/new/")
    admin.get_by_label("Spending of").select_option("everything")
    expect(admin.get_by_label("Agent id")).to_be_hidden()
    admin.get_by_label("Spending of").select_option("one agent")
    admin.get_by_label("Agent id").fill(desk.slug)
    admin.get_by_label("Name").fill(desk.slug)
    admin.get_by_label("Block at, US dollars").fill("0.002")
    admin.get_by_role("button", name="Save").click()
    row = admin.get_by_role("row", name=desk.slug)
    expect(row).to_contain_text("of $0.002")
    expect(row.locator(".status")).to_have_text("ok")
    desk.report()
    expect(row.locator(".status")).to_have_text("blocked")
    expect(row).to_contain_text("Its calls are refused.")
    expect(row.get_by_role("img", name="140 % of what it blocks at")).to_be_visible()

    admin.goto("/admin/")
    attention = admin.locator("#attention li").filter(has_text=f"Budget {desk.slug}")
    expect(attention).to_contain_text("It is spent: calls are refused.")
    admin.goto("/admin/budget/")
    admin.get_by_role("button", name=f"Delete {desk.slug}").click()
    admin.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(admin.get_by_role("status")).to_contain_text("what it blocked goes on")
