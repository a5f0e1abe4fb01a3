import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from tests.contract.server import serving
from tests.lab.service import WordService, origin

Open = Callable[..., Page]
Host = Callable[[WordService], str]

# What the browser itself says of an answer that is an error, or of none.
FAILED_RESOURCE = "Failed to load resource"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("needs Chromium: apt install chromium")
    with sync_playwright() as playwright:
        # The sandbox needs rights that root in a container lacks; the pages are our own.
        yield playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])


@pytest.fixture
def service() -> WordService:
    return WordService()


@pytest.fixture
def host() -> Iterator[Host]:
    """Return a function that lets a service run, until the pages are closed, and tells where."""
    with ExitStack() as running:
        yield lambda service: running.enter_context(serving(origin(service)))


@pytest.fixture
def url(service: WordService, host: Host) -> str:
    """The origin of a service that runs."""
    return host(service)


@pytest.fixture
def open_lab(browser: Browser, host: Host) -> Iterator[Open]:
    """Return a function that opens the page; whatever the browser complains of fails the test."""
    complaints: list[str] = []
    contexts = []

    def open_page(url: str, *, may_fail: bool = False, **options: Any) -> Page:
        context = browser.new_context(accept_downloads=True, **options)
        contexts.append(context)
        context.set_default_timeout(10_000)
        page = context.new_page()

        def hear(message: ConsoleMessage) -> None:
            expected = may_fail and message.text.startswith(FAILED_RESOURCE)
            if message.type in {"error", "warning"} and not expected:
                complaints.append(f"{message.type}: {message.text}")

        def check_origin(request: Request) -> None:
            if not request.url.startswith(("blob:", url)) or urlsplit(request.url).port != port:
                complaints.append(f"a request to {request.url}")

        port = urlsplit(url).port
        page.on("console", hear)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", check_origin)
        page.goto(f"{url}/lab")
        page.get_by_text("acme/words").wait_for() if not may_fail else None
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def lab(open_lab: Open, url: str) -> Page:
    """The page of a service that runs."""
    return open_lab(url)
