"""Pages of others against a service on loopback, in a real browser."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from ray.serve._private.http_util import _apply_middlewares
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.ray_serve.haproxy import ALLOWED_HOSTS
from serve_app.ray_serve.proxy import middlewares
from tests.contract.server import serving
from tests.lab.service import WordService, origin

ATTACK = "/attack"
EVIL = "http://evil.example"
BODY = '{"text": ["good"]}'
PATHS = ("/lab/", "/lab/live", "/lab/lab.js", "/project/info", "/project/docs", "/project/health")
Run = Callable[[WordService], str]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, to which every name that ends with `.example` is this machine."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("needs Chromium: apt install chromium")
    with sync_playwright() as playwright:
        rules = "--host-resolver-rules=MAP *.example 127.0.0.1"
        yield playwright.chromium.launch(executable_path=path, args=["--no-sandbox", rules])


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page()
    yield opened
    opened.close()


@pytest.fixture
def run() -> Iterator[Run]:
    """Return a function that lets a service run, and tells its port."""
    with ExitStack() as running:
        yield lambda service: running.enter_context(
            serving(before_rebinding(_apply_middlewares(origin(service), middlewares())))
        ).rpartition(":")[2]


def before_rebinding(app: ASGIApp) -> ASGIApp:
    """Return what a name leads to: a page of its owner's, and then the service."""

    async def changed(scope: Scope, receive: Receive, send: Send) -> None:
        page = HTMLResponse("<title>evil</title>")
        await (page if scope.get("path") == ATTACK else app)(scope, receive, send)

    return changed


def fetched(page: Page, url: str, **options: str) -> int:
    """Let the page fetch; return the status that it sees, 0 for none."""
    script = "([url, o]) => fetch(url, o).then((answer) => answer.status, () => -1)"
    return int(page.evaluate(script, [url, options]))


@pytest.mark.parametrize(
    ("hosts", "status"), [("localhost,127.0.0.1,[::1]", 421), ("", 200)], ids=["checked", "not"]
)
def test_a_page_that_rebinds_its_name_reads_nothing_and_makes_no_work(
    page: Page, run: Run, monkeypatch: pytest.MonkeyPatch, hosts: str, status: int
) -> None:
    monkeypatch.setenv(ALLOWED_HOSTS, hosts)
    service = WordService()
    page.goto(f"{EVIL}:{run(service)}{ATTACK}")
    assert {fetched(page, path) for path in PATHS} == {status}
    assert fetched(page, "/project/predict", method="POST", body=BODY) == status
    assert service.requests == ([] if hosts else [["good"]])


@pytest.mark.parametrize("granted", [False, True])
def test_a_page_of_another_origin_makes_no_work_unless_it_is_granted(
    page: Page, run: Run, monkeypatch: pytest.MonkeyPatch, *, granted: bool
) -> None:
    monkeypatch.setenv(ALLOWED_HOSTS, "localhost,127.0.0.1,[::1]")
    foreign = f"{EVIL}:{run_unchecked(run, monkeypatch)}"
    service = WordService(cors_origins=[foreign] if granted else [])
    predict = f"http://127.0.0.1:{run(service)}/project/predict"
    page.goto(foreign + ATTACK)
    for mode in ("no-cors", "cors"):
        status = fetched(page, predict, method="POST", body=BODY, mode=mode)
        assert status == (0 if mode == "no-cors" else 200 if granted else -1)
    # A form goes where no script may ask, and its field's name and value make JSON.
    page.set_content(
        f"""<form action="{predict}" method="post" enctype="text/plain">
        <input name='{{"text": ["good"], "a":"' value='"}}'></form>"""
    )
    with page.expect_navigation() as navigation:
        page.evaluate("document.forms[0].submit()")
    assert navigation.value
    # The form's field is one that the contract does not have.
    assert navigation.value.status == (422 if granted else 403)
    assert service.requests == ([["good"]] * 2 if granted else [])


def run_unchecked(run: Run, monkeypatch: pytest.MonkeyPatch) -> str:
    with monkeypatch.context() as patch:
        patch.delenv(ALLOWED_HOSTS)
        return run(WordService())


def test_the_services_own_pages_may_ask(
    page: Page, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALLOWED_HOSTS, "localhost,127.0.0.1,[::1],lab.example")
    service = WordService()
    port = run(service)
    for host in ("127.0.0.1", "localhost", "lab.example"):
        page.goto(f"http://{host}:{port}/project/docs")
        assert fetched(page, "/project/predict", method="POST", body=BODY) == 200
    assert len(service.requests) == 3
