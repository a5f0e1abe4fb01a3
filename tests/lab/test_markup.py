"""Markup in all that the page shows from elsewhere, in a real browser: it stays text."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from serve_app.errors import InferenceFailed
from serve_app.ray_serve.lab import PAGE
from tests.lab.conftest import Host, Open
from tests.lab.elements import drop, rows, texts
from tests.lab.service import WordService

HOSTILE = '"><img src=x onerror="window.ran=1"><script>window.ran=2</script>${7*7}'
# What would turn a text into elements or code; the policy of the page forbids it too.
SINKS = (
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "srcdoc",
    "DOMParser",
    "createContextualFragment",
    "setHTMLUnsafe",
    "eval(",
    "Function(",
    "javascript:",
)


@pytest.fixture
def page(open_lab: Open, host: Host) -> Iterator[Page]:
    """The page over a service whose labels are markup, before and after which it has no image."""
    page = open_lab(host(WordService((f"NEG{HOSTILE}", f"POS{HOSTILE}"))), may_fail=True)
    before = page.locator("img, script, iframe, object").count()
    yield page
    assert page.locator("img, script, iframe, object").count() == before
    assert page.evaluate("window.ran") is None


def test_texts_and_labels_are_text(page: Page) -> None:
    texts(page).fill(f"good {HOSTILE}")
    expect(rows(page)).to_contain_text(f"good {HOSTILE}")
    expect(rows(page)).to_contain_text(f"POS{HOSTILE}")
    shown = page.get_by_role("list", name="Score of every label").get_by_role("listitem")
    expect(shown.first).to_contain_text(f"POS{HOSTILE}")


def test_columns_and_cells_are_text(page: Page) -> None:
    quoted = HOSTILE.replace('"', '""')
    drop(page, f"{HOSTILE}.csv", f'id,"text{quoted}"\n1,"good {quoted}"\n')
    expect(rows(page).last).to_contain_text(f"good {HOSTILE}")
    page.get_by_label("The first row holds names").check()
    expect(page.get_by_label("Column with the texts")).to_contain_text(f"text{HOSTILE}")


def test_names_of_files_are_text(page: Page) -> None:
    drop(page, f"{HOSTILE}.txt", "good")
    expect(rows(page)).to_contain_text("good")
    expect(page.locator("body")).to_contain_text(HOSTILE)
    drop(page, f"{HOSTILE}.foo", "good")
    expect(page.get_by_role("alert")).to_contain_text(HOSTILE)


def test_errors_are_text(open_lab: Open, host: Host) -> None:
    service = WordService()
    page = open_lab(host(service), may_fail=True)
    service.problems = [InferenceFailed(HOSTILE)]
    texts(page).fill("good")
    expect(page.get_by_role("alert")).to_contain_text(HOSTILE)
    assert page.evaluate("window.ran") is None
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("sink", SINKS)
def test_no_file_of_the_page_makes_elements_or_code_of_text(sink: str) -> None:
    for file in PAGE.iterdir():
        assert sink not in file.read_text(), file.name
