"""What every page has: the palette, the keys, regions that renew themselves, the viewer's time."""

import re
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, StorageState, WebSocketRoute, expect

from tests.browser.conftest import PROVIDER_KEY, Stack, guarded_page, sign_in
from tests.conftest import ADMIN_TOKEN
from tests.support.showcase import Showcase
from tests.support.sockets import Listener

MANY_TABS = 80


@pytest.fixture
def api(stack: Stack) -> Showcase:
    """Somebody else, who changes things meanwhile."""
    return Showcase(stack.url, ADMIN_TOKEN)


@pytest.fixture
def stays(admin: Page) -> Iterator[None]:
    """The page must not have been reloaded at the end."""
    yield
    assert admin.evaluate("window.stayed")


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until the target has the focus, as somebody without a mouse does."""
    expect(target).to_be_visible()
    for _ in range(MANY_TABS):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"not reached by the keyboard: {target}")


def arrow_to(page: Page, select: Locator, option: str) -> None:
    """Choose by the arrow keys: letters would have to follow each other within a second."""
    tab_to(page, select)
    chosen = "element => element.selectedOptions[0].label.trim()"
    for _ in range(MANY_TABS):
        if select.evaluate(chosen) == option:
            return
        page.keyboard.press("ArrowDown")
    raise AssertionError(f"not among the options: {option}")


def open_palette(page: Page, text: str) -> None:
    """Type into the palette, once the scripts run."""
    expect(page.get_by_role("button", name="Jump to")).to_be_enabled()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name="Jump to")).to_be_focused()
    page.keyboard.type(text)


def jump(page: Page, text: str, heading: str) -> None:
    """Go somewhere by the palette alone."""
    open_palette(page, text)
    expect(page.get_by_role("option", selected=True)).to_contain_text(heading)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)


def test_the_palette_jumps_to_pages_and_things_and_closes_on_escape(
    admin: Page, api: Showcase
) -> None:
    api.call("POST", "/agents", {"name": "Palette Target"})
    jump(admin, "palette tar", "Palette Target")
    jump(admin, "sett", "Settings")
    open_palette(admin, "zzzz")
    expect(admin.get_by_text("Nothing has this in its name.")).to_be_visible()
    admin.keyboard.press("Control+a")
    admin.keyboard.press("Delete")
    options = admin.get_by_role("option")
    expect(options.first).to_have_attribute("aria-selected", "true")
    admin.keyboard.press("ArrowUp")
    expect(options.last).to_have_attribute("aria-selected", "true")
    admin.keyboard.press("Escape")
    expect(admin.get_by_role("dialog")).to_be_hidden()
    # `/` goes to the list's search.
    jump(admin, "agents", "Agents")
    expect(admin.get_by_role("button", name="Jump to")).to_be_enabled()
    admin.keyboard.press("/")
    expect(admin.get_by_role("searchbox")).to_be_focused()
    expect(admin.get_by_role("searchbox")).to_have_value("")


def test_from_nothing_to_a_served_client_without_a_mouse(
    admin: Page, stack: Stack, api: Showcase
) -> None:
    jump(admin, "providers", "Providers")
    tab_to(admin, admin.get_by_role("link", name="New provider"))
    admin.keyboard.press("Enter")
    tab_to(admin, admin.get_by_label("Name"))
    admin.keyboard.type("by-keyboard")
    arrow_to(admin, admin.get_by_label("Type"), "OpenAI-compatible")
    tab_to(admin, admin.get_by_label("Base URL"))
    admin.keyboard.type(stack.provider.openai_url)
    tab_to(admin, admin.get_by_label("API key"))
    admin.keyboard.type(PROVIDER_KEY)
    admin.keyboard.press("Enter")
    expect(admin.locator(".status[data-name=by-keyboard]")).to_have_text("connected")

    jump(admin, "agents", "Agents")
    tab_to(admin, admin.get_by_role("link", name="New agent"))
    admin.keyboard.press("Enter")
    tab_to(admin, admin.get_by_label("Name"))
    admin.keyboard.type("Keyboard Agent")
    arrow_to(admin, admin.get_by_label("Provider"), "by-keyboard")
    tab_to(admin, admin.get_by_label("Model"))
    admin.keyboard.type("loop-small")
    tab_to(admin, admin.get_by_role("button", name="Save"))
    admin.keyboard.press("Enter")
    expect(admin.locator("tr", has_text="keyboard-agent")).to_contain_text("loop-small")

    admin.goto("/admin/token/new/")
    tab_to(admin, admin.get_by_label("Name"))
    admin.keyboard.type("keyboard token")
    tab_to(admin, admin.get_by_role("combobox", name="Agents"))
    admin.keyboard.type("keyboard")
    found = admin.get_by_role("listbox", name="Agents found")
    expect(found.get_by_role("option", selected=True)).to_contain_text("keyboard-agent")
    admin.keyboard.press("Enter")
    expect(admin.get_by_role("button", name="Remove keyboard-agent")).to_be_visible()
    tab_to(admin, admin.get_by_role("button", name="Save"))
    admin.keyboard.press("Enter")
    token = admin.locator(".copyable pre").first.inner_text()
    served = Showcase(stack.url, token).call("GET", "/agents/keyboard-agent/llm")
    assert (served["llm_model"], served["llm_api_key"]) == ("loop-small", PROVIDER_KEY)


def test_what_somebody_else_changes_appears_and_so_does_what_a_broken_socket_missed(
    admin: Page, api: Showcase, stays: None
) -> None:
    sockets: list[WebSocketRoute] = []
    away = False

    def through(socket: WebSocketRoute) -> None:
        if away:
            socket.close()
        else:
            socket.connect_to_server()
            sockets.append(socket)

    admin.route_web_socket("**/ws*", through)
    admin.goto("/admin/agent/")
    live = admin.locator("#live-state")
    expect(live).to_have_text("live")
    admin.evaluate("window.stayed = true")
    api.call("POST", "/agents", {"name": "Came Meanwhile"})
    row = admin.locator("tr", has_text="came-meanwhile")
    expect(row).to_be_visible()

    away = True
    sockets[-1].close()
    expect(live).to_have_text("polling")
    api.call("PATCH", "/agents/came-meanwhile", {"name": "Renamed While Away"})
    away = False
    expect(live).to_have_text("live")
    expect(row).to_contain_text("Renamed While Away")
    api.call("DELETE", "/agents/came-meanwhile")
    expect(row).to_have_count(0)


def test_an_open_form_says_that_somebody_else_has_saved(admin: Page, api: Showcase) -> None:
    api.call("POST", "/agents", {"name": "Edited Twice"})
    admin.goto("/admin/agent/?search=edited-twice")
    admin.get_by_role("link", name="Edit Edited Twice").click()
    expect(admin.locator("#live-state")).to_have_text("live")
    admin.get_by_label("Description").fill("mine")
    notice = admin.get_by_text("Somebody else has saved this agent meanwhile")
    expect(notice).to_be_hidden()
    api.call("PATCH", "/agents/edited-twice", {"name": "Edited Thrice"})
    expect(notice).to_be_visible()
    expect(admin.get_by_label("Description")).to_have_value("mine")


def test_what_is_typed_outlives_its_session_and_is_sent_once(
    admin: Page, api: Showcase, session_cookie: StorageState
) -> None:
    admin.goto("/admin/token/new/")
    expect(admin.locator("#live-state")).to_have_text("live")
    admin.get_by_label("Name").fill("typed with care")
    admin.context.clear_cookies()
    admin.keyboard.press("Enter")
    dialog = admin.get_by_role("dialog")
    expect(dialog).to_contain_text("You are signed out. Nothing was sent")
    expect(dialog.get_by_role("link", name="Sign in")).to_have_attribute("target", "_blank")
    expect(admin.locator("#live-state")).to_have_text("signed out")
    dialog.get_by_role("button", name="Close").click()

    admin.context.add_cookies(session_cookie["cookies"])
    admin.get_by_label("Name").focus()
    admin.keyboard.press("Enter")
    admin.keyboard.press("Enter")
    expect(admin.get_by_role("status")).to_contain_text("Token typed with care is made.")
    names = [token["name"] for token in api.call("GET", "/tokens")["tokens"]]
    assert names.count("typed with care") == 1


def test_what_the_page_hears_meanwhile_stops_nobody_who_sends(admin: Page, api: Showcase) -> None:
    """The form of a row went with the row's renewal, and every other form had to wait for it."""
    provider = {"type": "ollama", "base_url": "http://127.0.0.1:9"}
    first = api.call("POST", "/providers", provider | {"name": "Sent From"})
    admin.goto("/admin/provider/?search=sent+from")
    expect(admin.locator("#live-state")).to_have_text("live")
    held: list[Route] = []
    admin.route("**/admin/session/", lambda route: held.append(route))
    with admin.expect_request("**/admin/session/"):
        admin.get_by_role("button", name="Validate Sent From").click()
    with admin.expect_response(lambda answer: answer.url == admin.url):
        second = api.call("POST", "/providers", provider | {"name": "Sent From Elsewhere"})
    for route in held:
        route.continue_()
    expect(admin.get_by_role("status")).to_contain_text("Sent From is being checked.")
    admin.unroute("**/admin/session/")
    admin.goto("/admin/settings/")
    for made in (first, second):
        api.call("DELETE", f"/providers/{made['id']}")


def test_a_client_stands_in_the_list_as_soon_as_it_has_said_hello(
    admin: Page, stack: Stack, stays: None
) -> None:
    admin.goto("/admin/client/")
    admin.evaluate("window.stayed = true")
    with Listener(stack.url, ADMIN_TOKEN) as client:
        (welcome,) = client.wait_for("welcome")
        applied = {"epoch": welcome["epoch"], "applied_rev": welcome["rev"]}
        client.say({"hello": {"client_id": "seen-live", "sdk": "test/1", **applied}})
        row = admin.locator("tr", has_text="seen-live")
        expect(row).to_contain_text("up to date")
        expect(row).to_contain_text("ADMIN_TOKEN token")
    expect(row).to_contain_text("gone")


def test_a_change_is_taken_back_from_the_history_after_a_question(
    admin: Page, api: Showcase
) -> None:
    api.call("POST", "/agents", {"name": "Wanted Back"})
    admin.goto("/admin/history/?root=wanted-back")
    api.call("DELETE", "/agents/wanted-back")
    admin.get_by_role("button", name="Bring back the agent wanted-back").click()
    admin.get_by_role("dialog").get_by_role("button", name="Bring back").click()
    expect(admin.get_by_role("status")).to_contain_text("Restored: agent wanted-back.")
    assert api.call("GET", "/agents/wanted-back")["name"] == "Wanted Back"


@pytest.mark.parametrize(
    ("role", "hidden"),
    [("viewer", {"Clients", "Settings", "Users and tokens"}), ("operator", {"Red button"})],
)
def test_whoever_may_only_read_walks_all_their_pages_live(
    page: Page, api: Showcase, role: str, hidden: set[str]
) -> None:
    person = {"email": f"walking-{role}@example.com", "password": "a long password"}
    api.call("POST", "/users", person | {"role": role})
    page.goto("/admin/")
    sign_in(page, **person)
    expect(page.locator("#live-state")).to_have_text("live")
    links = page.get_by_role("navigation").get_by_role("link")
    shown = {text.strip() for text in links.all_inner_texts()}
    assert {"Overview", "Agents", "Costs"} <= shown - hidden == shown
    for path in [str(link.get_attribute("href")) for link in links.all()]:
        page.goto(path)
        if path.startswith("/admin"):
            expect(page.locator("#live-state")).to_have_text("live")
            expect(page.get_by_role("link", name=re.compile("^New "))).to_have_count(0)


def test_times_are_the_viewer_s_own_with_utc_beneath(
    browser: Browser, stack: Stack, session_cookie: StorageState
) -> None:
    zone = "Asia/Kolkata"
    with guarded_page(browser, stack, storage_state=session_cookie, timezone_id=zone) as page:
        page.goto("/admin/history/")
        shown = page.locator("td time").first
        at = datetime.fromisoformat(str(shown.get_attribute("datetime")))
        expect(shown).to_have_text(f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}")
        expect(shown).to_have_attribute("title", f"{at:%Y-%m-%d %H:%M:%S} UTC")
