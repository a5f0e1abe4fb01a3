"""Rows of files: their formats, and reading them one at a time."""

import csv
import json
from collections.abc import Iterator
from enum import StrEnum
from itertools import chain, islice
from pathlib import PurePath
from typing import Any, BinaryIO, Final, NamedTuple

from serve_app import decoding
from serve_app.client import Prediction
from serve_app.console import first_line, install
from serve_app.decoding import CSV_QUOTES, NOT_UTF8, is_blank, is_utf8, text_lines, without_end
from serve_app.errors import StartupError


class Row(NamedTuple):
    """A row of the input; `problem` says why its text cannot be scored, and is empty if it can."""

    fields: dict[str, Any]
    text: str
    problem: str = ""


class Failure(NamedTuple):
    """The reason why a row has no prediction."""

    reason: str


Outcome = Prediction | Failure


class ScoredRow(NamedTuple):
    """A row with its prediction, or with the reason why it has none."""

    row: Row
    outcome: Outcome


class Format(StrEnum):
    """A format of rows; plain lines of text and Parquet are read, but not written to files."""

    TEXT = "text"
    TSV = "tsv"
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


TABLES: Final = frozenset({Format.TSV, Format.CSV})
_BINARY: Final = (".bz2", ".xls", ".xlsx", ".xz", ".zip", ".zst")
NOT_WRITTEN: Final = frozenset({*_BINARY, ".gz", ".parquet"})
_BY_SUFFIX: Final = {
    "": Format.TEXT,
    ".txt": Format.TEXT,
    ".tsv": Format.TSV,
    ".csv": Format.CSV,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".parquet": Format.PARQUET,
    # What these are is said when they are read.
    **dict.fromkeys(_BINARY, Format.TEXT),
}

SEPARATORS: Final = ",;\t"
# A larger field is the consequence of a quote that is not closed.
MAX_FIELD_CHARS: Final = 16 * 1024 * 1024


def format_of(path: PurePath) -> Format | None:
    """Return the format that a file's name stands for, with `.gz` or without."""
    if path.suffix.lower() == ".gz":
        path = path.with_suffix("")
    return _BY_SUFFIX.get(path.suffix.lower())


class Source(NamedTuple):
    """A file that is being read.

    The columns of JSON lines are those of the first row; none if that row cannot be read.
    """

    columns: tuple[str, ...]
    rows: Iterator[Row]

    def aligned(self) -> Iterator[Row]:
        """Yield the rows for a table; one with other columns than the first gets a problem.

        Only JSON lines have such rows. A table has no place for their values.
        """
        for row in self.rows:
            other = ", ".join(sorted(row.fields.keys() - self.columns))
            yield row._replace(problem=f"the first row has no {other}") if other else row


def read(stream: BinaryIO, form: Format, column: str) -> Source:
    """Begin to read a file.

    A row that cannot be read gets a problem. Blank lines are not rows. A table has a header.
    The stream may be gzip, and is Parquet, whatever its `form`, where it says so itself; plain
    lines become a column of the name `column`. Raises `StartupError`, also from the rows, if the
    file has no such column, or is not text.
    """
    stream, head = decoding.unpacked(stream)
    if form is Format.PARQUET or head.startswith(decoding.PARQUET):
        return _parquet(stream, column)
    # Only a line feed ends a line; the CSV parser needs all line ends as they are.
    lines = text_lines(stream, "" if form is Format.CSV else "\n")
    if form is Format.CSV:
        return _table(_csv_rows(lines), column)
    filled = (without_end(line) for line in lines if not is_blank(line))
    match form:
        case Format.TSV:
            return _table((_tsv_row(line) for line in filled), column)
        case Format.JSONL:
            return _objects(filled, column)
        case _:
            return Source((column,), (_row({column: text}, column) for text in filled))


def _tsv_row(line: str) -> tuple[list[str], str]:
    return line.split("\t"), CSV_QUOTES if decoding.has_csv_quotes(line) else ""


def _csv_rows(lines: Iterator[str]) -> Iterator[tuple[list[str], str]]:
    csv.field_size_limit(MAX_FIELD_CHARS)
    number, separator = 1, ""
    for line in lines:
        if is_blank(line):
            number += 1
            continue
        separator = separator or _separator(line)
        # A parser for each row: between rows, blank lines can be told from empty fields.
        rows = csv.reader(chain([line], lines), delimiter=separator, strict=True)
        try:
            yield next(rows), ""
        except csv.Error:
            raise StartupError(
                f"the CSV row that begins on line {number} has a quote that is not closed, "
                "or text after a closing quote",
                'write a quote in a quoted field twice (""); TSV has no quotes',
            ) from None
        number += rows.line_num


def _separator(header: str) -> str:
    """Return the separator of most columns; a character that no file has if there is one."""
    columns = {each: len(next(csv.reader([header], delimiter=each))) for each in SEPARATORS}
    best = max(SEPARATORS, key=columns.__getitem__)
    return best if columns[best] > 1 else "\0"


def _parquet(stream: BinaryIO, column: str) -> Source:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError:
        raise StartupError(
            "Parquet needs a package that is not installed", install("batch")
        ) from None
    try:
        file = pq.ParquetFile(stream)
    except (pa.ArrowException, OSError) as error:
        raise StartupError(
            f"cannot read the Parquet: {first_line(error)}",
            "is it whole? Parquet is read from a file, not from a pipe",
        ) from None
    _require(column, tuple(file.schema_arrow.names))
    rows = (row for batch in file.iter_batches(1024) for row in batch.to_pylist())
    return Source(tuple(file.schema_arrow.names), (_row(row, column) for row in rows))


def _table(rows: Iterator[tuple[list[str], str]], column: str) -> Source:
    header = tuple(next(rows, ([], ""))[0])
    _require(column, header)
    if len(set(header)) < len(header):
        raise StartupError("two columns have the same name", "give each column a name of its own")
    return Source(header, (_table_row(*row, header, column) for row in rows))


def _table_row(cells: list[str], problem: str, header: tuple[str, ...], column: str) -> Row:
    # Cut off or filled up, so that the columns of the output stay in line.
    fields = dict(zip(header, [*cells, *[""] * len(header)], strict=False))
    if len(cells) != len(header):
        problem = f"the row has {len(cells)} fields, the header {len(header)}"
    return Row(fields, "", problem) if problem else _row(fields, column)


def _objects(lines: Iterator[str], column: str) -> Source:
    first = list(islice(lines, 1))
    fields = json_object(first[0]) if first else {column: ""}
    if fields is not None:
        _require(column, tuple(fields))
    return Source(tuple(fields or ()), (_object_row(line, column) for line in chain(first, lines)))


def _object_row(line: str, column: str) -> Row:
    fields = json_object(line)
    if fields is None:
        return Row({}, "", "the line is not a JSON object")
    if column not in fields:
        return Row(fields, "", f"the object has no {column!r}")
    return _row(fields, column)


def json_object(line: str | bytes) -> dict[str, Any] | None:
    """Return the JSON object on a line; None if there is none."""
    try:
        read = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None


def _row(fields: dict[str, Any], column: str) -> Row:
    text = fields[column]
    if not isinstance(text, str):
        return Row(fields, "", f"{column!r} is not a string")
    return Row(fields, text, "" if is_utf8(text) else NOT_UTF8)


def _require(column: str, columns: tuple[str, ...]) -> None:
    if column not in columns:
        raise StartupError(
            f"there is no column {column!r}",
            f"choose one with --column: {', '.join(columns)}; or, where each line is a text, "
            "--input-format text"
            if columns
            else "the input is empty: a table has a line with the names of its columns",
        )
