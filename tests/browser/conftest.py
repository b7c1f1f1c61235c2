"""A real Chromium before the real stack: gunicorn, a worker, Redis, a provider on the loopback."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    StorageState,
    WebError,
    expect,
    sync_playwright,
)

from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, ADMIN_TOKEN
from tests.support.loopback_provider import LoopbackProvider
from tests.support.servers import (
    WebServer,
    celery_worker,
    redis_server,
    server_env,
    set_up,
    short_folder,
    web_server,
)

HERE = Path(__file__).parent
CHROMIUM = "/usr/bin/chromium"
# Nothing but this machine has an address. Not by a route: that would switch the cache off, and
# every page would fetch every script again.
OPTIONS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
PROVIDER_KEY = "sk-right-0123456789"
# A badge, and a page of one row, are asked after now and then: it may have been deleted since.
GONE_MEANWHILE = re.compile(r"status of 404 .*(/api/providers/\d+|/admin/\w+/\w+/\?id=[\w-]+)\)$")
PATIENCE_MS = 60_000  # a busy machine is no fault of a page
TEST_SECONDS = 400  # the first one starts the stack, and any may wait more than once

expect.set_options(timeout=PATIENCE_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder their time."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))


@dataclass(frozen=True)
class Stack:
    """What the pages stand on."""

    web: WebServer
    provider: LoopbackProvider

    @property
    def url(self) -> str:
        return self.web.url


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    """Web and worker on a fresh SQLite file, a provider that takes one key.

    The Redis is their own: other tests look for what one without a worker is like.
    """
    with (
        short_folder() as folder,
        redis_server() as redis,
        LoopbackProvider(key=PROVIDER_KEY) as provider,
    ):
        env = server_env(
            folder,
            REDIS_URL=redis.url,
            OUTBOUND_ALLOW=provider.address,
            ADMIN_EMAIL=ADMIN_EMAIL,
            ADMIN_PASSWORD=ADMIN_PASSWORD,
            ADMIN_TOKEN=ADMIN_TOKEN,
            RATE_LIMIT_LOGIN="1000 per minute",
        )
        set_up(env)
        with (
            web_server(env, folder / "web.log") as web,
            celery_worker(env, folder / "worker.log"),
        ):
            yield Stack(web, provider)


@pytest.fixture(autouse=True)
def well_again(stack: Stack) -> Iterator[None]:
    """A provider that a test made fail is in good health for the next one, whichever that is."""
    yield
    stack.provider.answer_ok()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One Chromium for the folder: while it is there, nobody else can run a loop of asyncio."""
    assert Path(CHROMIUM).exists(), "run `make test`, which installs Chromium where apt is at hand"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    """A guarded page of somebody who is not signed in."""
    with guarded_page(browser, stack) as page:
        yield page


@pytest.fixture
def admin(
    admin_context: BrowserContext, stack: Stack, session_cookie: StorageState
) -> Iterator[Page]:
    """A guarded page of an admin, on the overview. What it stores and is told ends with it."""
    with guarded(admin_context, stack) as page:
        page.goto("/admin/")
        yield page
        page.evaluate("localStorage.clear()")
    admin_context.clear_permissions()
    admin_context.clear_cookies()
    admin_context.add_cookies(session_cookie["cookies"])


@pytest.fixture(scope="package")
def admin_context(
    browser: Browser, stack: Stack, session_cookie: StorageState
) -> Iterator[BrowserContext]:
    """One context for all pages of the admin: its cache is as warm as a person's."""
    context = new_context(browser, stack, storage_state=session_cookie)
    yield context
    context.close()


@pytest.fixture(scope="package")
def session_cookie(browser: Browser, stack: Stack) -> StorageState:
    """Signing in takes a second of hashing: once is enough."""
    with guarded_page(browser, stack) as page:
        page.goto("/admin/")
        sign_in(page)
        expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
        return page.context.storage_state()


def sign_in(page: Page, password: str = ADMIN_PASSWORD, email: str = ADMIN_EMAIL) -> None:
    """Fill in the login page and send it."""
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def new_context(browser: Browser, stack: Stack, **options: Any) -> BrowserContext:
    """A patient one, without animations: nothing waits for them, and they cost."""
    context = browser.new_context(base_url=stack.url, reduced_motion="reduce", **options)
    context.set_default_timeout(PATIENCE_MS)
    return context


@contextmanager
def guarded_page(browser: Browser, stack: Stack, **options: Any) -> Iterator[Page]:
    """A guarded page in a context of its own."""
    context = new_context(browser, stack, **options)
    with guarded(context, stack) as page:
        yield page
    context.close()


class Faults(list[str]):
    """What went wrong on pages that are to stay on one host."""

    def __init__(self, host: str) -> None:
        super().__init__()
        self._host = host
        self.listeners = {
            "request": self._stay_here,
            "response": self._arrive,
            "console": self._hear,
            "weberror": self._blame,
        }

    def _stay_here(self, request: Request) -> None:
        if not request.url.startswith((self._host, "data:")):
            self.append(f"left the host: {request.url}")

    def _arrive(self, response: Response) -> None:
        if response.status == 404 and response.request.is_navigation_request():
            self.append(f"led to a page that is not there: {response.url}")

    def _hear(self, said: ConsoleMessage) -> None:
        # With its place: of a refused request the text alone does not tell which.
        told = f"{said.text} ({said.location['url']})"
        if said.type == "error" and not GONE_MEANWHILE.search(told):
            self.append(told)

    def _blame(self, error: WebError) -> None:
        self.append(str(error.error))


@contextmanager
def guarded(context: BrowserContext, stack: Stack) -> Iterator[Page]:
    """A page that fails its test on a console error, a script's error, a request elsewhere, or at a
    page that is not there; so do the others of its context."""
    faults = Faults(stack.url)
    for event, listener in faults.listeners.items():
        context.on(event, listener)  # type: ignore[call-overload]
    yield context.new_page()
    for page in context.pages:
        page.close()
    for event, listener in faults.listeners.items():
        context.remove_listener(event, listener)
    assert faults == []
