"""Files that come in and go out, in a real browser."""

import csv
import io
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from serve_app.files.reader import Format
from serve_app.files.writer import Layout
from tests.lab.elements import drop, rows, texts

LABELS = ("NEGATIVE", "POSITIVE")


def downloaded(page: Page) -> str:
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    return Path(download.value.path()).read_bytes().decode("utf-8-sig")


def test_a_file_that_is_dropped_is_scored(lab: Page) -> None:
    drop(lab, "reviews.csv", 'id,text\n1,"good, ""really"""\n2,"bad\nfood"\n')
    expect(rows(lab)).to_have_count(2)
    expect(rows(lab).nth(0)).to_contain_text('good, "really"')
    expect(rows(lab).nth(1)).to_contain_text("NEGATIVE")
    expect(lab.get_by_label("Column with the texts")).to_have_value("1")
    lab.get_by_label("Column with the texts").select_option("id")
    expect(rows(lab).nth(0)).to_contain_text("0.500")
    lab.get_by_role("button", name="Back to typing").click()
    expect(texts(lab)).to_be_focused()


def test_a_header_of_any_name_can_be_told(lab: Page) -> None:
    drop(lab, "feedback.csv", "feedback\ngood\nbad\n")
    expect(rows(lab)).to_have_count(3)
    lab.get_by_label("The first row holds names").check()
    expect(rows(lab)).to_have_count(2)
    expect(rows(lab).nth(0)).to_contain_text("good")
    drop(lab, "lines.txt", "feedback\ngood\n")
    expect(lab.get_by_label("The first row holds names")).to_be_hidden()


def test_a_folder_is_refused_in_words(lab: Page, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").mkdir()
    browser = lab.context.new_cdp_session(lab)
    files = [str(tmp_path / "reviews.csv")]
    for event in ("dragEnter", "dragOver", "drop"):
        data = {"items": [], "files": files, "dragOperationsMask": 1}
        drag = {"type": event, "x": 200, "y": 200, "data": data}
        browser.send("Input.dispatchDragEvent", drag)
    expect(lab.get_by_role("alert")).to_contain_text("reviews.csv cannot be read.")


def test_a_drop_without_a_file_is_refused_in_words(lab: Page) -> None:
    lab.evaluate(
        """() => {
            const drop = new Event("drop", { cancelable: true });
            dispatchEvent(Object.assign(drop, { dataTransfer: { types: ["Files"], files: [] } }));
        }"""
    )
    expect(lab.get_by_role("alert")).to_contain_text("There is no file in it.")


def test_a_file_that_is_chosen_is_scored(lab: Page, tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("gut\n\ncafé good\n", "utf-16")
    lab.get_by_label("Choose a file").set_input_files(path)
    expect(rows(lab)).to_have_count(2)
    expect(rows(lab).nth(1)).to_contain_text("café good")


def test_rows_that_are_not_texts_are_counted_and_the_first_is_named(lab: Page) -> None:
    drop(lab, "reviews.csv", "id,text\n1,good\n2,bad, really\n3\n4,fine\n")
    expect(rows(lab)).to_have_count(2)
    expect(lab.get_by_text("4 rows, 2 left out (row 2: the row has 3 fields")).to_be_visible()


def test_json_lines_are_scored_by_a_column_of_choice(lab: Page) -> None:
    drop(lab, "reviews.jsonl", '{"title": "good", "notes": "bad"}\n\n{"title": "bad"}\n')
    expect(rows(lab)).to_have_count(2)
    expect(rows(lab).nth(0)).to_contain_text("POSITIVE")
    expect(lab.get_by_label("The first row holds names")).to_be_disabled()
    lab.get_by_label("Column with the texts").select_option("notes")
    expect(rows(lab)).to_have_count(1)
    expect(lab.get_by_text("1 left out (row 2: the object has no 'notes')")).to_be_visible()


def test_a_file_that_holds_no_texts_is_refused_in_words(lab: Page) -> None:
    drop(lab, "picture.txt", "\0\1\2")
    expect(lab.get_by_role("alert")).to_contain_text("line 1 has a NUL byte")
    drop(lab, "reviews.csv", 'text,id\ngood,1\n"never closed,2\nbad,3\n')
    expect(lab.get_by_role("alert")).to_contain_text("begins on line 3 has a quote")


def test_what_is_downloaded_is_safe_in_a_spreadsheet(lab: Page) -> None:
    texts(lab).fill('=cmd()\n+1\n-1\n@x\ngood, "really"')
    expect(rows(lab).nth(4)).to_contain_text("POSITIVE")
    table = list(csv.DictReader(downloaded(lab).splitlines()))
    assert [row["text"] for row in table[:4]] == ["'=cmd()", "'+1", "'-1", "'@x"]
    assert table[4]["text"] == 'good, "really"'
    assert (table[4]["predicted_label"], table[4]["prediction_error"]) == ("POSITIVE", "")
    assert float(table[4]["score_POSITIVE"]) == pytest.approx(0.8808, abs=1e-4)


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("id,text,date\n1,good film,2026\n2,bad food,2025\n", ("id", "text", "date")),
        ("id;text;\n1;good film;x\n2;bad food;\n", ("id", "text", "column 3")),
    ],
)
def test_a_file_keeps_its_columns_and_gets_those_of_the_command_line(
    lab: Page, content: str, columns: tuple[str, ...]
) -> None:
    drop(lab, "reviews.csv", content)
    expect(rows(lab).nth(1)).to_contain_text("NEGATIVE")
    written = downloaded(lab)
    assert written.startswith(Layout(Format.CSV, columns, LABELS).header().decode())
    table = list(csv.DictReader(io.StringIO(written)))
    assert [row["id"] for row in table] == ["1", "2"]
    assert [row["predicted_label"] for row in table] == ["POSITIVE", "NEGATIVE"]


def test_texts_that_are_typed_are_downloaded_as_from_the_command_line(lab: Page) -> None:
    texts(lab).fill("good\n\ngood")
    expect(rows(lab).nth(1)).to_contain_text("POSITIVE")
    header, *lines = downloaded(lab).splitlines(keepends=True)
    assert header.encode() == Layout(Format.CSV, ("text",), LABELS).header()
    assert len(lines) == 2


def test_every_row_of_a_file_is_downloaded(lab: Page) -> None:
    drop(lab, "reviews.csv", "text,stars\ngood,5\n,1\nbad,2\ntoo,3,more\n")
    expect(rows(lab)).to_have_count(3)
    expect(rows(lab).nth(2)).to_contain_text("NEGATIVE")
    table = list(csv.DictReader(io.StringIO(downloaded(lab))))
    assert [row["stars"] for row in table] == ["5", "1", "2", "3"]
    assert [row["prediction_error"] for row in table] == [
        *("", "", ""),
        "the row has 3 fields, the header 2",
    ]
    assert [row["column 3"] for row in table] == ["", "", "", "more"]


def test_a_file_that_has_been_scored_is_not_scored_over(lab: Page) -> None:
    drop(lab, "scored.csv", "text,predicted_label\ngood,NEGATIVE\n")
    expect(rows(lab)).to_contain_text("POSITIVE")
    lab.get_by_role("button", name="Download CSV").click()
    expect(lab.get_by_role("alert")).to_contain_text("has a column predicted_label already")


def test_the_header_is_no_row(lab: Page) -> None:
    drop(lab, "reviews.csv", "id,text\n1,good\n2,bad\n")
    expect(lab.get_by_role("group", name="File")).to_contain_text("2 rows")
    lab.get_by_label("The first row holds names").uncheck()
    expect(lab.get_by_role("group", name="File")).to_contain_text("3 rows")


def test_the_values_of_json_lines_are_downloaded(lab: Page) -> None:
    drop(lab, "reviews.jsonl", '{"text": "good", "stars": 5, "tags": ["a", "b"]}\n{"text": null}\n')
    expect(rows(lab)).to_contain_text("POSITIVE")
    first, second = csv.DictReader(io.StringIO(downloaded(lab)))
    assert (first["stars"], first["tags"], first["predicted_label"]) == (
        "5",
        '["a","b"]',
        "POSITIVE",
    )
    assert second["prediction_error"] == "'text' is not a string"
