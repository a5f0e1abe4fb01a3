import csv
import io
import json
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serve_app.errors import StartupError
from serve_app.files.reader import Failure, Format, Row, ScoredRow
from serve_app.files.writer import ERROR, Layout, finished, open_file
from tests.unit.files.pipeline import all_of, jsonl_of, scored

if TYPE_CHECKING:
    from tests.unit.files.conftest import HashScorer

AWKWARD = [
    "",
    "a,b",
    'say "hi"',
    "tab\there",
    "line\nbreak",
    "cr\rhere",
    "ünï ☕",
    "\u2028",
    "refuse me",
]
ROWS = [{"id": str(n), "text": text} for n, text in enumerate(AWKWARD)]


def csv_of(rows: list[dict[str, str]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def test_csv_comes_back_with_its_columns_and_the_scores(scorer: "HashScorer") -> None:
    out = all_of(csv_of(ROWS), Format.CSV, Format.CSV, scorer).decode()
    rows = list(csv.DictReader(io.StringIO(out, newline="")))
    assert [{"id": row["id"], "text": row["text"]} for row in rows] == ROWS
    for row in rows[:-1]:
        expected = scorer.prediction(row["text"])
        assert row["predicted_label"] == expected.label
        assert float(row["score_POSITIVE"]) == expected.scores["POSITIVE"]
        assert row["prediction_error"] == ""
    assert rows[-1]["prediction_error"] == "the text is refused"
    assert rows[-1]["predicted_label"] == rows[-1]["score_POSITIVE"] == ""


def test_json_lines_come_back_with_their_fields_and_the_scores(scorer: "HashScorer") -> None:
    content = (
        b'{"text": "a", "n": 1.5, "nested": {"x": [null]}}\n\n{"text": "b", "other": "\\ud800"}'
    )
    lines = all_of(content, Format.JSONL, Format.JSONL, scorer).splitlines()
    first, second = map(json.loads, lines)
    assert (first["n"], first["nested"]) == (1.5, {"x": [None]})
    assert first["predicted_label"] == scorer.prediction("a").label
    assert first["prediction_error"] is None
    assert second["other"] == "\ud800"


def test_tabs_and_line_ends_become_spaces_in_tsv(scorer: "HashScorer") -> None:
    out = all_of(jsonl_of(ROWS), Format.JSONL, Format.TSV, scorer).decode()
    rows = [line.split("\t") for line in out.removesuffix("\n").split("\n")]
    assert {len(row) for row in rows} == {6}
    assert [row[1] for row in rows[4:7]] == ["tab here", "line break", "cr here"]
    # The text itself is scored, not what TSV can hold of it.
    assert float(rows[4][4]) == scorer.prediction("tab\there").scores["POSITIVE"]


# Also those of the lab's files.
FORMULAS = ["=", "+", "-", "@", "\t", "\r", "\n", " =", "\u00a0@", "\ufeff=", "\0="]
FORMULAS += ["\t +", "\u3000-", "\uff1d", "\uff0b", "\uff0d", "\uff20", " \uff1d", "\n\n="]


@pytest.mark.parametrize("form", [Format.CSV, Format.TSV])
@pytest.mark.parametrize("start", FORMULAS)
def test_a_formula_is_escaped_where_that_is_asked_for(form: Format, start: str) -> None:
    cell = f"{start}cmd"
    row = ScoredRow(Row({cell: cell, "n": "1 - 1"}, "a"), Failure(cell))
    kept = Layout(form, (cell, "n"), ("=A", "B"))
    shown = re.sub("[\t\r\n]", " ", cell) if form is Format.TSV else cell
    for written in (kept.rows([row]), kept.header()):
        assert "'" not in written.decode()
    safe = kept._replace(escape=True)
    read = partial(csv.reader, delimiter="\t" if form is Format.TSV else ",")
    [header], [line] = (
        list(read(io.StringIO(written.decode(), newline="")))
        for written in (safe.header(), safe.rows([row]))
    )
    assert header == [f"'{shown}", "n", "predicted_label", "score_=A", "score_B", ERROR]
    assert line == [f"'{shown}", "1 - 1", "", "", "", f"'{shown}"]


def test_numbers_and_json_are_never_escaped() -> None:
    row = ScoredRow(Row({"n": -5, "text": "=1"}, "a"), Failure(""))
    columns, labels = ("n", "text"), ("A",)
    assert Layout(Format.CSV, columns, labels, escape=True).rows([row]) == b"-5,'=1,,,\r\n"
    assert b'"=1"' in Layout(Format.JSONL, columns, labels, escape=True).rows([row])


def test_a_row_with_other_fields_has_no_place_in_a_table(scorer: "HashScorer") -> None:
    content = b'{"text": "a"}\n{"text": "b", "id": 1}\n'
    out = all_of(content, Format.JSONL, Format.CSV, scorer).decode()
    assert "the first row has no id" in out
    with pytest.raises(StartupError, match="columns are not known"):
        all_of(b"torn\n" + content, Format.JSONL, Format.CSV, scorer)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data(), target=st.sampled_from([Format.TSV, Format.CSV, Format.JSONL]))
def test_an_output_cut_anywhere_is_resumed_to_the_same_bytes(
    scorer: "HashScorer", tmp_path: Path, data: st.DataObject, target: Format
) -> None:
    whole = all_of(jsonl_of(ROWS), Format.JSONL, target, scorer)
    path = tmp_path / "out"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    layout = Layout(target, ("id", "text"), scorer.labels)
    stream, written = open_file(path, layout, resume=True)
    rest = scored(jsonl_of(ROWS), Format.JSONL, target, scorer, done=written.rows)
    next(rest)
    with stream:
        stream.writelines(rest)
    assert path.read_bytes() == whole
    ended = finished(path, layout)
    assert (ended.rows, ended.failed) == (len(ROWS), 1)
    assert written.failed == (written.rows == len(ROWS))


@pytest.mark.parametrize(
    ("form", "content"),
    [
        (Format.CSV, b"something,else\r\n1,2\r\n"),
        (Format.JSONL, b'{"foo": 1}\n'),
        (Format.JSONL, b'{"foo": 1}'),
        (
            Format.JSONL,
            b'{"text": "a", "predicted_label": "A", "score_A": 1, "prediction_error": 0}\n',
        ),
        (Format.JSONL, b"[1]\n"),
        (Format.JSONL, b"precious"),
        (Format.JSONL, b"[" * 100_000),
    ],
)
def test_an_output_with_other_columns_is_not_resumed(
    scorer: "HashScorer", tmp_path: Path, form: Format, content: bytes
) -> None:
    path = tmp_path / "out"
    path.write_bytes(content)
    with pytest.raises(StartupError, match="other columns"):
        open_file(path, Layout(form, ("text",), scorer.labels), resume=True)
    assert path.read_bytes() == content


def test_rows_without_scores_are_counted_though_the_input_has_an_error_column(
    scorer: "HashScorer", tmp_path: Path
) -> None:
    rows = [{"text": text, "prediction_error": "old", "n": 1} for text in ("a", "refuse me")]
    content = jsonl_of([{"text": "first"}, *rows])
    (tmp_path / "out").write_bytes(all_of(content, Format.JSONL, Format.JSONL, scorer))
    layout = Layout(Format.JSONL, ("text",), scorer.labels)
    assert finished(tmp_path / "out", layout)[:2] == (3, 1)


def test_an_output_is_not_overwritten(scorer: "HashScorer", tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"precious")
    with pytest.raises(StartupError, match="already"):
        open_file(path, Layout(Format.JSONL, ("text",), scorer.labels), resume=False)
    assert path.read_bytes() == b"precious"
