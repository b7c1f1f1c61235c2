"""Voice: the fields are what the chosen type's adapter takes."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import Stack
from tests.conftest import ADMIN_TOKEN
from tests.support.showcase import Showcase


def test_a_voice_is_set_with_the_fields_of_its_type(admin: Page, stack: Stack) -> None:
    api = Showcase(stack.url, ADMIN_TOKEN)
    api.call("POST", "/agents", {"name": "Speaker"})
    admin.goto("/admin/voice/?search=speaker")
    admin.get_by_role("link", name="Edit the voice of Speaker").click()
    speaks = admin.locator("[data-speech]").first
    expect(speaks.get_by_label("Voice id")).to_be_hidden()
    provider = speaks.get_by_label("Provider")
    provider.select_option("type:openai")
    expect(speaks.get_by_label("Language")).to_be_hidden()
    provider.select_option("type:async.ai")
    expect(speaks.get_by_label("Language")).to_be_visible()
    speaks.get_by_label("Voice id").fill("v-7")
    speaks.get_by_label("Sample rate").fill("1")
    admin.get_by_role("button", name="Save").click()
    expect(speaks.get_by_label("Sample rate")).to_be_focused()
    expect(speaks.get_by_label("Sample rate")).to_have_accessible_description(
        "From 8000 to 192000. Samples a second."
    )
    speaks.get_by_label("Sample rate").fill("24000")
    admin.get_by_role("button", name="Save").click()
    row = admin.get_by_role("row", name="Speaker")
    expect(row).to_contain_text("voice_id v-7")
    config = api.call("GET", "/agents/speaker/config")["tts_provider_config"]
    assert (config["voice_id"], config["sample_rate"]) == ("v-7", 24000)
