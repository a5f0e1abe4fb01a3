"""The page in a real browser, over the API on a real socket."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.lab.conftest import Host, Open
from tests.lab.elements import rows, texts, words
from tests.lab.service import CLASSIFIERS, WordService

MINUS = "\N{MINUS SIGN}"


def test_scores_follow_as_one_types(lab: Page, service: WordService) -> None:
    typed = "a good film\nbad food"
    texts(lab).press_sequentially(typed, delay=10)
    expect(rows(lab)).to_have_count(2)
    expect(rows(lab).nth(0)).to_contain_text("POSITIVE")
    expect(rows(lab).nth(1)).to_contain_text("NEGATIVE")
    expect(rows(lab).nth(1)).to_contain_text("0.881")
    assert len(service.requests) < len(typed) / 2, "it asks at every letter"


def test_a_text_that_is_known_is_not_asked_for_again(lab: Page, service: WordService) -> None:
    texts(lab).fill("good")
    expect(rows(lab)).to_contain_text("model")
    texts(lab).fill("good\nbad")
    expect(rows(lab).nth(1)).to_contain_text("NEGATIVE")
    assert [request for request in service.requests if len(request) == 1][:2] == [["good"], ["bad"]]


def test_what_was_typed_a_moment_ago_is_scored_at_once(lab: Page, service: WordService) -> None:
    texts(lab).fill("good")
    expect(rows(lab)).to_contain_text("POSITIVE")
    asked = len(service.requests)
    with lab.expect_response("**/predict"):
        lab.evaluate(
            """() => {
                const area = document.getElementById("texts");
                area.value = "good\\nbad";
                area.dispatchEvent(new Event("input"));
                const enter = { key: "Enter", ctrlKey: true, bubbles: true };
                area.dispatchEvent(new KeyboardEvent("keydown", enter));
            }"""
        )
    expect(rows(lab)).to_have_count(2)
    assert service.requests[asked:][0] == ["good", "bad"]
    lab.wait_for_timeout(400)
    assert ["bad"] not in service.requests, "the pause after typing has nothing left to do"


def test_it_tells_which_scores_came_from_the_cache_and_where_the_time_went(lab: Page) -> None:
    texts(lab).fill("good\nbad")
    expect(rows(lab).nth(0)).to_contain_text("model")
    lab.get_by_role("button", name="Score again").click()
    expect(rows(lab).nth(0)).to_contain_text("cache")
    expect(lab.get_by_role("status").first).to_have_text("2 texts scored, 2 from the cache")
    time = lab.get_by_role("region", name="Where the time went")
    expect(time).to_contain_text("Model12 ms")
    expect(time).to_contain_text("Waiting for the model1.5 ms")
    expect(time).to_contain_text("2 of 2 texts came from the cache")


def test_an_outdated_request_is_aborted(lab: Page, service: WordService) -> None:
    service.open.clear()
    with lab.expect_event("requestfailed") as aborted:
        with lab.expect_request("**/predict"):
            texts(lab).fill("good")
        texts(lab).fill("bad")
    assert aborted.value.failure == "net::ERR_ABORTED"
    service.open.set()
    expect(rows(lab)).to_contain_text("NEGATIVE")


def test_words_are_shown_with_what_leaving_them_out_changes(
    lab: Page, service: WordService
) -> None:
    texts(lab).fill("a wonderful film, bad food")
    expect(words(lab)).to_have_count(5)
    expect(words(lab).nth(1)).to_contain_text(re.compile(r"wonderful \+0\.6\d\d"))
    expect(words(lab).nth(0)).to_contain_text("a 0.000")
    expect(words(lab).nth(3)).to_contain_text(re.compile(rf"bad {MINUS}0\.2\d\d"))
    assert service.requests[-1] == [
        "a wonderful film, bad food",
        "wonderful film, bad food",
        "a film, bad food",
        "a wonderful bad food",
        "a wonderful film, food",
        "a wonderful film, bad",
    ]
    region = lab.get_by_role("region", name="What pulls the score")
    region.get_by_label("Label").select_option("NEGATIVE")
    expect(words(lab).nth(1)).to_contain_text(re.compile(rf"wonderful {MINUS}0\.6\d\d"))
    expect(lab.get_by_text("“bad” pulls NEGATIVE up most")).to_be_visible()


@pytest.fixture
def small(host: Host) -> tuple[WordService, str]:
    """A service that takes ten texts a request."""
    service = WordService(max_texts=10)
    return service, host(service)


def test_a_large_paste_is_divided_and_drawn(open_lab: Open, small: tuple[WordService, str]) -> None:
    service, url = small
    page = open_lab(url)
    texts(page).fill("\n".join(f"{'good' if n % 4 else 'bad'} {n}" for n in range(240)))
    expect(page.get_by_role("status").first).to_have_text("240 texts scored")
    assert sorted(map(len, service.requests)) == [10] * 24
    distribution = page.get_by_role("region", name="Distribution")
    expect(distribution).to_contain_text("NEGATIVE 60 (25 %)")
    expect(distribution.get_by_role("img")).to_have_accessible_name(
        "Histogram of the scores of POSITIVE of 240 texts; most, 180, lie in 0.85 to 0.90."
    )
    expect(rows(page)).to_have_count(100)
    page.get_by_role("button", name="Show 100 more of 140").click()
    expect(rows(page)).to_have_count(200)


def test_a_run_can_be_cancelled_and_goes_on_where_it_was(
    open_lab: Open, small: tuple[WordService, str]
) -> None:
    service, url = small
    page = open_lab(url)
    service.open.clear()
    texts(page).fill("\n".join(f"good {n}" for n in range(40)))
    expect(page.get_by_text("0 of 40")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("status").first).to_have_text("0 texts scored, 40 not asked for")
    service.open.set()
    page.get_by_role("button", name="Score again").click()
    expect(page.get_by_role("status").first).to_contain_text("40 texts scored")


def test_another_model_is_noticed(lab: Page, service: WordService) -> None:
    texts(lab).fill("good")
    expect(rows(lab)).to_contain_text("POSITIVE")
    service.model = service.model._replace(model_id="acme/words-2", revision="fedcba")
    texts(lab).fill("good\nbad")
    expect(lab.get_by_text("acme/words-2")).to_be_visible(timeout=10_000)
    expect(rows(lab).nth(1)).to_contain_text("NEGATIVE")
    assert ["good", "bad"] in service.requests, "scores of the former model are asked for again"


def test_any_number_of_labels_is_shown(open_lab: Open, host: Host) -> None:
    labels = ("negative", "positive", "neutral", "mixed", "unclear")
    url = host(WordService(labels))
    page = open_lab(url)
    texts(page).fill("a wonderful film")
    shown = page.get_by_role("list", name="Score of every label").get_by_role("listitem")
    expect(shown).to_have_count(5)
    expect(shown.first).to_contain_text("positive")


def test_a_text_is_never_markup(lab: Page) -> None:
    hostile = '<img src=x onerror="alert(1)"> <script>alert(2)</script> good'
    texts(lab).fill(hostile)
    expect(words(lab)).to_have_count(5)
    expect(rows(lab)).to_contain_text(hostile)
    assert lab.locator("#rows img, #words-list img, blockquote img").count() == 0


def test_live_figures_are_those_of_the_service(lab: Page) -> None:
    texts(lab).fill("good")
    strip = lab.get_by_role("region", name="The whole service, last seconds")
    expect(strip).to_contain_text(f"Classifiers{CLASSIFIERS}")
    expect(strip).to_contain_text("Requests/s0.1", timeout=10_000)
    expect(strip).to_contain_text("All replicas of the service, last 10 s")
