"""Files through the pipeline, without a command line: read, score, write, resume."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serve_app.errors import StartupError
from serve_app.files.reader import MAX_FIELD_CHARS, TABLES, Format, format_of, read
from serve_app.files.run import score
from serve_app.files.writer import Layout, finished, open_file

if TYPE_CHECKING:
    from tests.unit.bulk.conftest import HashScorer

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


def scored(
    content: bytes, source: Format, target: Format, scorer: "HashScorer", done: int = 0
) -> Iterator[bytes]:
    """Yield the header and then the rows from `done` on, in pieces."""
    given_rows = read(io.BytesIO(content), source, "text")
    layout = Layout(target, given_rows.columns, scorer.labels)
    yield layout.header()
    rows = given_rows.aligned() if target in TABLES else given_rows.records
    with ThreadPoolExecutor(2) as threads:
        for results in score(islice(rows, done, None), scorer, threads, 2):
            yield layout.rows(results)


def all_of(content: bytes, source: Format, target: Format, scorer: "HashScorer") -> bytes:
    return b"".join(scored(content, source, target, scorer))


def csv_of(rows: list[dict[str, str]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def jsonl_of(rows: Sequence[Mapping[str, object]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


ROWS = [{"id": str(n), "text": text} for n, text in enumerate(AWKWARD)]


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


def test_every_line_of_a_text_file_is_a_text(scorer: "HashScorer") -> None:
    content = "\ufeffone\r\n\ntwo, 'three'\u2028\rfour".encode()
    lines = all_of(content, Format.TEXT, Format.JSONL, scorer).splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    assert texts == ["one", "", "two, 'three'\u2028\rfour"]


def test_tsv_knows_no_quotes(scorer: "HashScorer") -> None:
    content = b'text\tlabel\n"hi" he said\t1\n"open\t0\n'
    out = all_of(content, Format.TSV, Format.TSV, scorer).decode().splitlines()
    assert [line.split("\t")[:2] for line in out[1:]] == [['"hi" he said', "1"], ['"open', "0"]]


def test_what_ends_a_field_of_tsv_becomes_a_space(scorer: "HashScorer") -> None:
    out = all_of(jsonl_of(ROWS), Format.JSONL, Format.TSV, scorer).decode()
    rows = [line.split("\t") for line in out.removesuffix("\n").split("\n")]
    assert {len(row) for row in rows} == {6}
    assert [row[1] for row in rows[4:7]] == ["tab here", "line break", "cr here"]
    # The text itself is scored, not what TSV can hold of it.
    assert float(rows[4][4]) == scorer.prediction("tab\there").scores["POSITIVE"]


@pytest.mark.parametrize("source", [Format.CSV, Format.TSV])
def test_bytes_that_are_no_utf8_are_marked_and_given_back(
    scorer: "HashScorer", source: Format
) -> None:
    comma = b"," if source is Format.CSV else b"\t"
    content = comma.join([b"id", b"text"]) + b"\n" + comma.join([b"1", b"caf\xe9"]) + b"\n"
    [_, row] = all_of(content, source, source, scorer).splitlines()
    assert row == comma.join([b"1", b"caf\xe9", b"", b"", b"", b"the text is not valid UTF-8"])


@pytest.mark.parametrize(
    ("source", "content", "problems"),
    [
        (Format.CSV, b"id,text\n1\n\n2,b\n3,c,d\n", ["1 fields", "", "3 fields"]),
        (Format.TSV, b"id\ttext\n1\n\n2\tb\n", ["1 fields", "1 fields", ""]),
        (
            Format.JSONL,
            b'{"text": "a"}\n\n{torn\n[1]\n{"txt": "b"}\n{"text": 1}\n' + b"[" * 100_000,
            ["", "no JSON", "no JSON", "no 'text'", "no string", "no JSON"],
        ),
    ],
)
def test_broken_rows_are_marked_and_lose_no_other(
    scorer: "HashScorer", source: Format, content: bytes, problems: list[str]
) -> None:
    lines = all_of(content, source, Format.JSONL, scorer).splitlines()
    found = [json.loads(line)["prediction_error"] or "" for line in lines]
    assert len(found) == len(problems)
    for said, problem in zip(found, problems, strict=True):
        assert (problem in said) if problem else said == ""


def test_a_row_with_other_fields_has_no_place_in_a_table(scorer: "HashScorer") -> None:
    content = b'{"text": "a"}\n{"text": "b", "id": 1}\n'
    out = all_of(content, Format.JSONL, Format.CSV, scorer).decode()
    assert "the first row has no id" in out
    with pytest.raises(StartupError, match="columns are not known"):
        all_of(b"torn\n" + content, Format.JSONL, Format.CSV, scorer)


@pytest.mark.parametrize(
    ("source", "content"),
    [
        (Format.CSV, b"id,body\n1,a\n"),
        (Format.TSV, b""),
        (Format.JSONL, b'{"body": "a"}\n'),
        (Format.CSV, b"text,text\na,b\n"),
        (Format.CSV, b"text,predicted_label\na,b\n"),
        (Format.CSV, b'text\n"' + b"x" * (MAX_FIELD_CHARS + 1)),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(
    scorer: "HashScorer", source: Format, content: bytes
) -> None:
    with pytest.raises(StartupError) as caught:
        all_of(content, source, source, scorer)
    assert caught.value.hint


@pytest.mark.parametrize("source", list(Format))
def test_an_empty_or_bare_file_has_no_rows(scorer: "HashScorer", source: Format) -> None:
    content = b"text\n" if source in TABLES else b""
    target = source if source in TABLES else Format.JSONL
    assert all_of(content, source, target, scorer).count(b"\n") == (target in TABLES)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data(), target=st.sampled_from([Format.TSV, Format.CSV, Format.JSONL]))
def test_a_run_cut_anywhere_ends_as_one_that_was_not(
    scorer: "HashScorer", tmp_path: Path, data: st.DataObject, target: Format
) -> None:
    whole = all_of(jsonl_of(ROWS), Format.JSONL, target, scorer)
    path = tmp_path / "out"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    layout = Layout(target, ("id", "text"), scorer.labels)
    opened = open_file(path, layout, resume=True)
    rest = scored(jsonl_of(ROWS), Format.JSONL, target, scorer, done=opened.rows)
    next(rest)
    with opened.stream as stream:
        stream.writelines(rest)
    assert path.read_bytes() == whole
    ended = finished(path, target, layout.written)
    assert (ended.rows, ended.failed) == (len(ROWS), 1)
    assert opened.failed == (opened.rows == len(ROWS))


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


def test_an_error_is_found_wherever_the_input_had_a_field_of_its_name(
    scorer: "HashScorer", tmp_path: Path
) -> None:
    rows = [{"text": text, "prediction_error": "old", "n": 1} for text in ("a", "refuse me")]
    content = jsonl_of([{"text": "first"}, *rows])
    (tmp_path / "out").write_bytes(all_of(content, Format.JSONL, Format.JSONL, scorer))
    layout = Layout(Format.JSONL, ("text",), scorer.labels)
    assert finished(tmp_path / "out", Format.JSONL, layout.written)[:2] == (3, 1)


def test_an_output_is_not_overwritten(scorer: "HashScorer", tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"precious")
    with pytest.raises(StartupError, match="already"):
        open_file(path, Layout(Format.JSONL, ("text",), scorer.labels), resume=False)
    assert path.read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.csv", "csv"), ("a.TSV", "tsv"), ("a.ndjson", "jsonl"), ("a.txt", "text"), ("-", "text")],
)
def test_a_name_tells_the_format(name: str, form: str) -> None:
    assert format_of(Path(name), Format.TEXT) == form
