import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from serve_app.errors import StartupError
from serve_app.files.reader import MAX_FIELD_CHARS, TABLES, Format, format_of
from tests.unit.files.pipeline import all_of

if TYPE_CHECKING:
    from tests.unit.files.conftest import HashScorer


def test_every_line_of_a_text_file_is_a_text(scorer: "HashScorer") -> None:
    content = "\ufeffone\r\n\ntwo, 'three'\u2028\rfour".encode()
    lines = all_of(content, Format.TEXT, Format.JSONL, scorer).splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    assert texts == ["one", "", "two, 'three'\u2028\rfour"]


def test_tsv_has_no_quotes(scorer: "HashScorer") -> None:
    content = b'text\tlabel\n"hi" he said\t1\n"open\t0\n'
    out = all_of(content, Format.TSV, Format.TSV, scorer).decode().splitlines()
    assert [line.split("\t")[:2] for line in out[1:]] == [['"hi" he said', "1"], ['"open', "0"]]


@pytest.mark.parametrize("source", [Format.CSV, Format.TSV])
def test_bytes_that_are_not_utf8_are_marked_and_kept(scorer: "HashScorer", source: Format) -> None:
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
            ["", "not a JSON", "not a JSON", "no 'text'", "not a string", "not a JSON"],
        ),
    ],
)
def test_broken_rows_are_marked_and_the_others_are_scored(
    scorer: "HashScorer", source: Format, content: bytes, problems: list[str]
) -> None:
    lines = all_of(content, source, Format.JSONL, scorer).splitlines()
    found = [json.loads(line)["prediction_error"] or "" for line in lines]
    assert len(found) == len(problems)
    for said, problem in zip(found, problems, strict=True):
        assert (problem in said) if problem else said == ""


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
def test_a_file_with_unusable_columns_is_refused_with_a_hint(
    scorer: "HashScorer", source: Format, content: bytes
) -> None:
    with pytest.raises(StartupError) as caught:
        all_of(content, source, source, scorer)
    assert caught.value.hint


@pytest.mark.parametrize("source", list(Format))
def test_a_file_that_is_empty_or_has_only_a_header_has_no_rows(
    scorer: "HashScorer", source: Format
) -> None:
    content = b"text\n" if source in TABLES else b""
    target = source if source in TABLES else Format.JSONL
    assert all_of(content, source, target, scorer).count(b"\n") == (target in TABLES)


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.csv", "csv"), ("a.TSV", "tsv"), ("a.ndjson", "jsonl"), ("a.txt", "text"), ("-", "text")],
)
def test_the_suffix_of_a_name_selects_the_format(name: str, form: str) -> None:
    assert format_of(Path(name), Format.TEXT) == form
