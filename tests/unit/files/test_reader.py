import builtins
import gzip
import io
import json
import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serve_app.decoding import HEAD_BYTES
from serve_app.errors import StartupError
from serve_app.files.reader import MAX_FIELD_CHARS, TABLES, Format, format_of, read
from tests.unit.files.cases import CASES, Case
from tests.unit.files.pipeline import all_of

if TYPE_CHECKING:
    from tests.unit.files.conftest import HashScorer


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.case)
def test_files_are_read_by_the_rules_that_the_lab_follows_too(case: Case) -> None:
    def rows() -> list[str | dict[str, str]]:
        form = format_of(Path(case.name))
        if form is None:
            raise StartupError(f"the name of {case.name} has no known format")
        found = read(io.BytesIO(case.content), form, "text").rows
        return [{"problem": row.problem} if row.problem else row.text for row in found]

    if case.rows is not None:
        assert rows() == case.rows
        return
    with pytest.raises(StartupError, match=re.escape(case.refused)):
        rows()


@pytest.mark.parametrize("source", [Format.CSV, Format.TSV])
def test_bytes_that_are_not_utf8_are_marked_and_kept_far_into_a_file(
    scorer: "HashScorer", source: Format
) -> None:
    comma = b"," if source is Format.CSV else b"\t"
    row = comma.join([b"1", b"a text"]) + b"\n"
    content = comma.join([b"id", b"text"]) + b"\n" + row * (HEAD_BYTES // len(row) + 1)
    content += comma.join([b"caf\xe9", b"caf\xe9"]) + b"\n" + row
    *_, marked, last = all_of(content, source, source, scorer).splitlines()
    problem = b"the text is not valid UTF-8"
    assert marked == comma.join([b"caf\xe9", b"caf\xe9", b"", b"", b"", problem])
    assert last.startswith(comma.join([b"1", b"a text"]))


def test_gzip_that_breaks_far_into_a_file_ends_the_run_in_one_line(scorer: "HashScorer") -> None:
    whole = gzip.compress(b"\n".join(b"%d" % (n * n) for n in range(400_000)))
    with pytest.raises(StartupError, match="broken gzip"):
        all_of(whole[:-100_000], Format.TEXT, Format.JSONL, scorer)


def test_parquet_is_read_where_pyarrow_is_installed(
    scorer: "HashScorer", monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.table(
        {"text": ["a", None, "é"], "day": [date(2026, 1, 2)] * 3, "raw": [b"x", None, b""]}
    )
    stream = io.BytesIO()
    pq.write_table(table, stream)
    lines = all_of(stream.getvalue(), Format.PARQUET, Format.JSONL, scorer).splitlines()
    first, second, third = map(json.loads, lines)
    assert (first["text"], first["day"]) == ("a", "2026-01-02")
    assert first["predicted_label"] == scorer.prediction("a").label
    assert second["prediction_error"] == "'text' is not a string"
    assert third["text"] == "é"
    out = all_of(stream.getvalue(), Format.TEXT, Format.CSV, scorer).decode().splitlines()
    assert out[0].startswith("text,day,raw,predicted_label")
    with pytest.raises(StartupError, match="cannot read the Parquet"):
        all_of(stream.getvalue()[:-9], Format.PARQUET, Format.JSONL, scorer)

    plain_import = builtins.__import__

    def without_pyarrow(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name=name)
        return plain_import(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_pyarrow)
    with pytest.raises(StartupError) as caught:
        all_of(stream.getvalue(), Format.PARQUET, Format.JSONL, scorer)
    assert "[batch]" in caught.value.hint


@pytest.mark.parametrize(
    ("source", "content", "problems"),
    [
        (Format.CSV, b"id,text\n1\n\n2,b\n3,c,d\n", ["1 fields", "", "3 fields"]),
        (Format.TSV, b"id\ttext\n1\n\n2\tb\n", ["1 fields", ""]),
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


@pytest.mark.parametrize("source", [Format.TEXT, *sorted(TABLES), Format.JSONL])
def test_a_file_that_is_empty_or_has_only_a_header_has_no_rows(
    scorer: "HashScorer", source: Format
) -> None:
    content = b"text\n" if source in TABLES else b""
    target = source if source in TABLES else Format.JSONL
    assert all_of(content, source, target, scorer).count(b"\n") == (target in TABLES)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.csv", "csv"),
        ("a.TSV", "tsv"),
        ("a.ndjson", "jsonl"),
        ("a.txt", "text"),
        ("-", "text"),
        ("a.csv.gz", "csv"),
        ("a.gz", "text"),
        ("a.parquet", "parquet"),
        ("a.json", None),
    ],
)
def test_the_suffix_of_a_name_selects_the_format(name: str, form: str | None) -> None:
    assert format_of(Path(name)) == form
