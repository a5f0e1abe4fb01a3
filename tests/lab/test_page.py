"""The page in a real browser, over the API on a real socket."""

import json
import re

import pytest
from playwright.sync_api import Page, expect

from tests.lab.conftest import Host, Open
from tests.lab.elements import rows, run, texts, words
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


MIXED = ["good", "a film", "bad", "good and wonderful", "awful", "bad and awful"]


def shown(page: Page) -> list[str]:
    return page.locator("#rows .pick").all_inner_texts()


def test_texts_are_sorted_by_label_and_confidence(lab: Page) -> None:
    texts(lab).fill("\n".join(MIXED))
    expect(rows(lab).last).to_contain_text("NEGATIVE")
    sort = lab.get_by_label("Sort by")
    sort.select_option("confidence, lowest first")
    assert shown(lab) == ["a film", "good", "bad", "awful", "good and wonderful", "bad and awful"]
    assert rows(lab).locator(".number").all_inner_texts() == ["2", "1", "3", "5", "4", "6"]
    sort.select_option("confidence, highest first")
    assert shown(lab)[0] in {"good and wonderful", "bad and awful"}
    assert shown(lab)[-1] == "a film"
    sort.select_option("label")
    assert shown(lab)[:3] == ["bad and awful", "awful", "bad"]
    lab.get_by_role("button", name="awful").nth(1).click()
    expect(lab.get_by_role("region", name="Selected text")).to_contain_text("awful")
    sort.select_option("order of the texts")
    assert shown(lab) == MIXED


def test_texts_are_filtered_by_label_and_confidence(lab: Page) -> None:
    texts(lab).fill("\n".join(MIXED))
    expect(rows(lab).last).to_contain_text("NEGATIVE")
    lab.get_by_label("Show", exact=True).select_option("NEGATIVE")
    expect(rows(lab)).to_have_count(4)
    assert shown(lab) == ["a film", "bad", "awful", "bad and awful"]
    lab.get_by_label("with confidence from").fill("0.9")
    expect(rows(lab)).to_have_count(2)
    lab.get_by_label("to", exact=True).fill("0.96")
    expect(lab.get_by_text("1 of 6 texts shown")).to_be_visible()
    assert shown(lab) == ["awful"]
    lab.get_by_label("Show", exact=True).select_option("no score")
    expect(rows(lab)).to_have_count(0)
    lab.get_by_label("Show", exact=True).select_option("every label")
    lab.get_by_label("with confidence from").fill("")
    lab.get_by_label("to", exact=True).fill("")
    expect(rows(lab)).to_have_count(6)


def test_the_words_for_where_a_score_came_from_are_explained(lab: Page) -> None:
    texts(lab).fill("good")
    expect(rows(lab)).to_contain_text("model")
    sources = lab.locator("#sources")
    expect(sources).to_have_text("modelthe model computed it for this request")
    texts(lab).fill("good\nbad")
    lab.get_by_role("button", name="Score again").click()
    expect(rows(lab).nth(0)).to_contain_text("either")
    expect(sources).to_contain_text("either" + "cache or model: the request had texts of both")
    lab.get_by_role("button", name="Score again").click()
    expect(rows(lab).nth(0)).to_contain_text("cache")
    expect(sources).to_have_text("cachethe score was known")


def test_the_request_for_a_text_is_copied_as_a_command_that_runs(
    lab: Page, service: WordService
) -> None:
    text = """it's a "good" $HOME film, `ls` \\ \u2028 100 % #1 'x'"""
    texts(lab).fill(text)
    lab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    lab.get_by_role("button", name="Copy as curl").click()
    expect(lab.get_by_text("Copied.")).to_be_visible()
    command = lab.evaluate("navigator.clipboard.readText()")
    assert command.startswith("curl 'http://127.0.0.1:")
    answer = json.loads(run(command))
    assert answer["predictions"][0][0]["label"] == "POSITIVE"
    assert service.requests[-1] == [text]
    texts(lab).fill("another")
    expect(lab.get_by_label("The request as a command")).to_be_hidden()


LONG = "\n".join(f"{'good' if n % 3 else 'bad'} film {n}" for n in range(150))


def test_every_card_beside_a_long_table_can_be_scrolled_into_sight(
    open_lab: Open, url: str
) -> None:
    page = open_lab(url, viewport={"width": 1280, "height": 900})
    texts(page).fill(LONG)
    expect(page.get_by_role("status").first).to_have_text("150 texts scored")
    page.get_by_role("button", name="Show the words").click()
    expect(words(page)).to_have_count(3)
    aside = page.locator("#aside")
    assert aside.evaluate("aside => getComputedStyle(aside).overflowY") == "visible"
    end = page.get_by_text("As numbers")
    top = page.get_by_role("heading", name="Selected text")
    for _ in range(2):
        page.mouse.wheel(0, 1500)
        expect(end).to_be_in_viewport(ratio=1)
        rows(page).nth(90).get_by_role("button").click()
        expect(top).to_be_in_viewport(ratio=1)
        page.mouse.wheel(0, -400)
        expect(top).to_be_in_viewport(ratio=1)
        page.mouse.wheel(0, -5000)
        expect(page.get_by_role("heading", name="Sentiment lab")).to_be_in_viewport()


@pytest.mark.parametrize("word", ["good good good good", "bad bad bad bad"])
def test_the_label_of_the_tallest_bar_is_whole(open_lab: Open, host: Host, word: str) -> None:
    page = open_lab(host(WordService()))
    texts(page).fill("\n".join(f"{word} {n}" for n in range(1200)))
    expect(page.get_by_role("status").first).to_have_text("1,200 texts scored")
    chart = page.get_by_role("img")
    label = chart.locator("text").first
    expect(label).to_have_text("1,200")
    outer, inner = chart.bounding_box(), label.bounding_box()
    assert outer
    assert inner
    assert outer["x"] <= inner["x"]
    assert inner["x"] + inner["width"] <= outer["x"] + outer["width"]
    assert outer["y"] <= inner["y"]
