"""Files that come in and go out, in a real browser."""

import csv
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.lab.elements import drop, rows, texts


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
    with lab.expect_download() as download:
        lab.get_by_role("button", name="Download CSV").click()
    content = Path(download.value.path()).read_text("utf-8-sig")
    table = list(csv.DictReader(content.splitlines()))
    assert [row["text"] for row in table[:4]] == ["'=cmd()", "'+1", "'-1", "'@x"]
    assert table[4]["text"] == 'good, "really"'
    assert (table[4]["label"], table[4]["source"]) == ("POSITIVE", "model")
    assert float(table[4]["score_POSITIVE"]) == pytest.approx(0.8808, abs=1e-4)
