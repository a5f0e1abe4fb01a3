"""Whoever cannot see the page, or point at it, can use it."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from serve_app.errors import InferenceFailed
from tests.lab.conftest import Open
from tests.lab.elements import drop, rows, texts, words
from tests.lab.service import WordService


def test_the_keyboard_is_enough(lab: Page, service: WordService) -> None:
    lab.keyboard.press("Tab")
    expect(lab.get_by_role("link", name="Skip to the texts")).to_be_focused()
    lab.keyboard.press("Enter")
    lab.keyboard.type("good film\nbad food")
    expect(rows(lab)).to_have_count(2)
    reached = []
    for _ in range(12):
        lab.keyboard.press("Tab")
        focus = "document.activeElement"
        reached.append(lab.evaluate(f"({focus}.labels[0] ?? {focus}).innerText"))
        if reached[-1] == "bad food":
            break
    assert reached == [
        "Choose a file …", "Score again", "Clear", "Download CSV",
        "Sort by", "Show", "with confidence from", "to", "good film", "bad food",
    ]  # fmt: skip
    lab.keyboard.press("Enter")
    selected = lab.get_by_role("region", name="Selected text")
    expect(selected).to_contain_text("bad food")
    expect(lab.get_by_role("button", name="bad food")).to_have_attribute("aria-pressed", "true")
    expect(lab.get_by_role("button", name="bad food")).to_be_focused()
    lab.keyboard.press("Tab")
    expect(lab.get_by_role("button", name="Copy as curl")).to_be_focused()
    lab.keyboard.press("Tab")
    lab.keyboard.press("Tab")
    expect(lab.get_by_role("button", name="Show the words")).to_be_focused()
    service.open.clear()
    lab.keyboard.press("Enter")
    expect(lab.get_by_role("button", name="Show the words")).to_be_disabled()
    expect(lab.get_by_role("button", name="Show the words")).to_be_focused()
    service.open.set()
    expect(words(lab)).to_have_count(2)
    expect(lab.get_by_role("list", name="Words")).to_be_focused()


def test_a_run_that_ends_leaves_the_focus_where_the_next_one_begins(
    lab: Page, service: WordService
) -> None:
    service.open.clear()
    texts(lab).fill("good\nbad")
    lab.get_by_role("button", name="Cancel").focus()
    lab.keyboard.press("Enter")
    expect(lab.get_by_role("button", name="Score again")).to_be_focused()
    service.open.set()


def test_what_the_words_do_is_read_out(lab: Page) -> None:
    texts(lab).fill("good film\nbad food")
    summary = lab.get_by_role("region", name="What pulls the score").get_by_role("status")
    expect(summary).to_be_attached()
    expect(summary).to_have_text("")
    lab.get_by_role("button", name="Show the words").click()
    expect(summary).to_contain_text("“good” pulls POSITIVE up most")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wrong_by_the_rules_of_accessibility(
    open_lab: Open, url: str, service: WordService, scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = open_lab(url, may_fail=True, color_scheme=scheme, reduced_motion="reduce")
    assert violations(axe, page) == []
    drop(page, "reviews.csv", "text\n" + "\n".join(f"good {n}" for n in range(8)))
    expect(page.get_by_role("img")).to_be_visible()
    page.get_by_role("button", name="Show the words").click()
    expect(words(page)).to_have_count(2)
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.get_by_label("The request as a command")).to_be_visible()
    assert violations(axe, page) == []
    service.problems = [InferenceFailed("The model failed on a text of this request.")]
    page.get_by_role("button", name="Score again").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert violations(axe, page) == []


def violations(axe: Any, page: Page) -> list[str]:
    response = axe.run(page).response
    assert "color-contrast" in [each["id"] for each in response["passes"]]
    found = response["violations"]
    return [f"{each['id']}: {node['html']}" for each in found for node in each["nodes"]]


def test_it_fits_a_narrow_screen(open_lab: Open, url: str) -> None:
    page = open_lab(url, viewport={"width": 360, "height": 740})
    texts(page).fill("a wonderful film, " + "x" * 200 + "\nbad food")
    expect(rows(page)).to_have_count(2)
    page.get_by_role("button", name="Show the words").click()
    expect(words(page)).to_have_count(4)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_motion_is_only_for_those_who_like_it(open_lab: Open, url: str) -> None:
    page = open_lab(url, reduced_motion="reduce")
    texts(page).fill("good")
    bar = page.locator("#rows .stack span").first
    expect(bar).to_be_visible()
    assert bar.evaluate("bar => getComputedStyle(bar).transitionDuration") == "0s"
