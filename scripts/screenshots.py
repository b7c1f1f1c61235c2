"""`make screenshots`: every page of the admin interface in both themes, as docs/screenshots/*.png.

A throwaway instance with something on every page; needs Chromium, as the tests do.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Page, ViewportSize, sync_playwright

from tests.support.loopback_provider import LoopbackProvider
from tests.support.processes import PYTHON, ROOT
from tests.support.servers import (
    celery_worker,
    redis_server,
    server_env,
    set_up,
    short_folder,
    web_server,
)
from tests.support.showcase import PAGES, Showcase

FOLDER = ROOT / "docs" / "screenshots"
CHROMIUM = "/usr/bin/chromium"
EMAIL, PASSWORD = "admin@example.com", "screenshots-of-a-throwaway"
TOKEN = "screenshots-token-of-a-throwaway-instance"  # noqa: S105
KEY = "sk-only-the-loopback-knows"
SIZE: ViewportSize = {"width": 1440, "height": 900}


class Stage(NamedTuple):
    """Where the pictures are taken."""

    url: str
    provider: LoopbackProvider


def main() -> int:
    wanted = set(sys.argv[1:]) or set(PAGES)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with stage() as here, sync_playwright() as playwright:
        ids = Showcase(here.url, TOKEN).fill(here.provider)
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        for theme in ("light", "dark"):
            context = browser.new_context(
                base_url=here.url, viewport=SIZE, color_scheme=theme, reduced_motion="reduce"
            )
            page = context.new_page()
            sign_in(page)
            for name in sorted(wanted):
                # Some parts of a page are asked for by its scripts.
                page.goto(PAGES[name].format(**ids), wait_until="networkidle")
                photograph(page, FOLDER / f"{name}-{theme}.png")
            context.close()
        browser.close()
    print(f"{2 * len(wanted)} pictures in {FOLDER.relative_to(ROOT)}")
    return 0


def photograph(page: Page, path: Path) -> None:
    """The whole page in a window as high as it is: what sticks to an edge is at its edge."""
    page.locator("#live-state[data-state=live]").wait_for()
    height = int(page.evaluate("document.documentElement.scrollHeight"))
    page.set_viewport_size({"width": SIZE["width"], "height": height})
    page.screenshot(path=path)
    page.set_viewport_size(SIZE)


def sign_in(page: Page) -> None:
    page.goto("/admin/")
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Overview").wait_for()


@contextmanager
def stage() -> Iterator[Stage]:
    """Redis, web, worker, a provider and a client, on a fresh SQLite file."""
    with (
        short_folder() as folder,
        redis_server() as redis,
        LoopbackProvider(models=["gpt-4.1", "gpt-4.1-mini"], key=KEY) as provider,
    ):
        env = server_env(
            folder,
            REDIS_URL=redis.url,
            OUTBOUND_ALLOW=provider.address,
            ADMIN_EMAIL=EMAIL,
            ADMIN_PASSWORD=PASSWORD,
            ADMIN_TOKEN=TOKEN,
        )
        set_up(env)
        with (
            web_server(env, folder / "web.log") as web,
            celery_worker(env, folder / "worker.log"),
            agent(web.url, folder),
        ):
            yield Stage(web.url, provider)


@contextmanager
def agent(url: str, folder: Path) -> Iterator[None]:
    """The demo's agent, for the list of clients."""
    env = {"SWITCHYARD_URL": url, "SWITCHYARD_TOKEN": TOKEN, "PATH": "/usr/bin:/bin"}
    env["SWITCHYARD_SNAPSHOT"] = str(folder / "agent.snapshot")
    process = subprocess.Popen(
        [PYTHON, "-m", "scripts.demo_agent"],
        cwd=ROOT,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    sys.exit(main())
