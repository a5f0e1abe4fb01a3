"""What the page computes by itself, module by module."""

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Browser, Page
from playwright.sync_api import Error as PlaywrightError

from serve_app.errors import StartupError
from serve_app.files.reader import Format, read
from tests.contract.server import serving
from tests.lab.service import WordService, origin
from tests.unit.files.cases import CASES, Case
from tests.unit.files.test_writer import FORMULAS


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    with serving(origin(WordService())) as url:
        page = browser.new_page()
        page.goto(f"{url}/lab")
        yield page
        page.close()


def call(page: Page, module: str, function: str, *arguments: object) -> Any:
    return page.evaluate(
        "async ([module, name, args]) => (await import(`/lab/${module}.js`))[name](...args)",
        [module, function, list(arguments)],
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.case)
def test_files_are_read_by_the_rules_that_the_command_line_follows_too(
    page: Page, case: Case
) -> None:
    found = page.evaluate(
        """async ([name, content]) => {
            const { readTexts, rowsOf } = await import("/lab/files.js");
            const bytes = Uint8Array.from(atob(content), (each) => each.charCodeAt(0));
            try {
                const rows = rowsOf(await readTexts(new File([bytes], name)));
                return { rows: rows.map(({ text, problem }) => text ?? { problem }) };
            } catch (error) {
                return { refused: error.message };
            }
        }""",
        [case.name, base64.b64encode(case.content).decode()],
    )
    if case.rows is not None:
        assert found == {"rows": case.rows}
    else:
        assert case.refused.lower() in found["refused"].lower()


@given(st.text(alphabet='ab",\n ', max_size=20))
def test_csv_is_read_as_by_the_command_line(page: Page, content: str) -> None:
    content = "text,h\n" + content
    try:
        source = read(io.BytesIO(content.encode()), Format.CSV, "text")
        rows = [tuple(row.fields.values()) for row in source.rows if not row.problem]
    except StartupError:
        with pytest.raises(PlaywrightError, match="a quote that is not closed"):
            call(page, "csv", "parse", content)
        return
    found = [tuple(row) for row in call(page, "csv", "parse", content)]
    assert [row for row in found if len(row) == 2] == [("text", "h"), *rows]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("I loved it, until it broke\nGood\n", [["I loved it, until it broke"], ["Good"]]),
        ("1,good\n2,bad\n", [["1", "good"], ["2", "bad"]]),
        ("id, review\n1, good\n", [["id", " review"], ["1", " good"]]),
    ],
)
def test_a_comma_of_the_text_divides_no_csv_without_a_header(
    page: Page, content: str, rows: list[list[str]]
) -> None:
    assert call(page, "csv", "parse", content) == rows


@pytest.mark.parametrize(
    ("rows", "column", "header"),
    [
        ([["id", "Review"], ["1", "good"]], 1, True),
        ([["1", "a long text"], ["2", "another long text"]], 1, False),
        ([["good"]], 0, False),
    ],
)
def test_the_column_of_the_texts_is_guessed(
    page: Page, rows: list[list[str]], column: int, header: bool
) -> None:
    assert call(page, "csv", "guess", rows) == {"column": column, "header": header}


@pytest.mark.parametrize("start", FORMULAS)
def test_no_cell_that_is_written_is_a_formula(page: Page, start: str) -> None:
    written = call(page, "csv", "format", [[f"{start}cmd|'/c calc'!A0", 0.5]])
    assert written.removeprefix('"').startswith(f"'{start}")


@pytest.mark.parametrize("cell", ["a=b", " a", "", "'=1", "1+1", "5 - 1"])
def test_a_cell_that_is_no_formula_is_written_as_it_is(page: Page, cell: str) -> None:
    assert call(page, "csv", "format", [[cell, -0.5]]) == f"{cell},-0.5\r\n"


LIMITS = {"max_texts": 256, "max_chars": 100, "max_body_bytes": 400}


def test_requests_stay_within_the_limits(page: Page) -> None:
    texts = ["é" * 50, "x" * 90, "y", "\\" * 90, "z" * 90]
    requests = call(page, "requests", "divide", texts, LIMITS)
    assert [text for request in requests for text in request] == texts
    for request in requests:
        body = json.dumps({"text": request}, ensure_ascii=False).encode()
        assert len(body) <= LIMITS["max_body_bytes"]
    many = call(page, "requests", "divide", ["a"] * 10, {**LIMITS, "max_texts": 3})
    assert list(map(len, many)) == [3, 3, 3, 1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x" * 100, None),
        ("😀" * 100, "larger than the 400 bytes that the service takes"),
        ("x" * 101, "101 characters; the service takes 100"),
    ],
)
def test_what_the_service_would_refuse_is_not_sent(
    page: Page, text: str, reason: str | None
) -> None:
    assert call(page, "requests", "refusal", text, LIMITS) == reason


def test_words_are_left_out_one_by_one_or_in_groups_that_fit_a_request(page: Page) -> None:
    wide = {"max_texts": 256, "max_chars": 32768, "max_body_bytes": 2**21}

    def left_out(text: str, **limits: int) -> list[str]:
        found = call(page, "occlusion", "pieces", text, wide | limits)
        return [text[each["start"] : each["end"]] for each in found]

    assert left_out("not  bad, at all") == ["not", "bad,", "at", "all"]
    assert left_out("a b c d e", max_texts=4) == ["a b", "c d", "e"]
    assert len(left_out("word " * 3000)) == 60
    assert len(left_out("word " * 100, max_body_bytes=6000)) <= 10
    assert left_out("映画は素晴らしい") != ["映画は素晴らしい"]
    assert left_out("") == []


def test_a_word_leaves_no_gap(page: Page) -> None:
    assert call(page, "occlusion", "without", "a b c", {"start": 2, "end": 3}) == "a c"
    assert call(page, "occlusion", "without", "a b", {"start": 0, "end": 1}) == "b"


def test_stage_times_are_read(page: Page) -> None:
    header = "cache;dur=0.25, queue; dur=1.500"
    assert call(page, "api", "serverTiming", header) == {"cache": 0.25, "queue": 1.5}


def test_a_score_of_one_belongs_to_the_last_bin(page: Page) -> None:
    found = call(page, "histogram", "bins", [0, 0.049, 0.05, 1])
    assert (found[0], found[1], found[-1], sum(found)) == (2, 1, 1, 4)
