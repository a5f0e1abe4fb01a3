"""A service that is overloaded, fails, goes away or asks for a key, in a real browser."""

from contextlib import ExitStack

from playwright.sync_api import expect

from loadtest.ports import free_port
from serve_app.api_keys import hash_of
from serve_app.errors import InferenceFailed, Overloaded
from tests.contract.server import serving
from tests.lab.conftest import Host, Open
from tests.lab.elements import rows, run, texts
from tests.lab.service import WordService, origin


def test_an_overloaded_service_is_asked_again_when_it_says(
    open_lab: Open, url: str, service: WordService
) -> None:
    page = open_lab(url, may_fail=True)
    service.problems = [Overloaded("2048 texts wait for the model.")]
    texts(page).fill("good")
    expect(page.get_by_role("alert")).to_contain_text("Trying again in 1 s.")
    expect(page.get_by_role("alert")).to_contain_text("2048 texts wait for the model")
    expect(rows(page)).to_contain_text("POSITIVE")
    expect(page.get_by_role("alert")).to_be_hidden()
    assert service.requests[:2] == [["good"], ["good"]]


def test_an_error_is_shown_as_the_service_explains_it(
    open_lab: Open, url: str, service: WordService
) -> None:
    page = open_lab(url, may_fail=True)
    service.problems = [InferenceFailed("The model failed on a text of this request.")]
    with page.expect_response("**/predict") as answer:
        texts(page).fill("good")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Inference failed")
    expect(alert).to_contain_text("The model failed on a text of this request.")
    expect(alert).to_contain_text(answer.value.json()["request_id"])
    texts(page).fill("bad")
    expect(rows(page)).to_contain_text("NEGATIVE")
    expect(alert).to_be_hidden()


def test_it_loses_the_service_and_recovers(open_lab: Open, service: WordService) -> None:
    app, port = origin(service), free_port()
    with ExitStack() as running:
        url = running.enter_context(serving(app, port))
        page = open_lab(url, may_fail=True)
        texts(page).fill("good")
        expect(rows(page)).to_contain_text("POSITIVE")
        running.close()
        texts(page).fill("bad")
        expect(page.get_by_role("alert")).to_contain_text("No connection to the service")
        expect(page.get_by_text("No live figures at the moment")).to_be_visible()
        running.enter_context(serving(app, port))
        expect(rows(page)).to_contain_text("NEGATIVE")
        expect(page.get_by_role("alert")).to_be_hidden()


def test_a_key_is_asked_for_and_kept_in_memory_alone(open_lab: Open, host: Host) -> None:
    service = WordService(api_keys=[hash_of(b"s3cret")])
    url = host(service)
    page = open_lab(url, may_fail=True)
    expect(page.get_by_role("alert")).to_contain_text("An API key is needed.")
    expect(page.get_by_label("API key", exact=True)).to_be_focused()
    header = page.get_by_role("banner")
    expect(header).to_contain_text("The service names its model to those who have a key.")
    page.keyboard.type("guess")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("This API key is not known.")
    expect(header).to_contain_text("The service names its model to those who have a key.")
    page.keyboard.type("s3cret")
    page.keyboard.press("Enter")
    expect(page.get_by_text("acme/words")).to_be_visible()
    expect(texts(page)).to_be_focused()
    page.keyboard.type("good")
    expect(rows(page)).to_contain_text("POSITIVE")
    page.get_by_role("button", name="Copy as curl").click()
    command = page.get_by_label("The request as a command").inner_text()
    assert "$SENTIMENT_API_KEY" in command
    assert run(command, SENTIMENT_API_KEY="s3cret").startswith('{"predictions":')
    stored = page.evaluate("[{...localStorage}, {...sessionStorage}, document.cookie]")
    assert stored == [{}, {}, ""]
    assert "s3cret" not in page.content()


def test_the_header_says_that_nobody_answers_and_then_who_does(
    open_lab: Open, host: Host, service: WordService
) -> None:
    page = open_lab(host(service), may_fail=True)
    page.route("**/project/info", lambda route: route.abort())
    page.reload()
    expect(page.get_by_role("banner")).to_contain_text("The service does not answer yet.")
    page.unroute("**/project/info")
    expect(page.get_by_role("banner")).to_contain_text("acme/words")
