"""Rows of files: their formats, and reading them one at a time."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from enum import StrEnum
from itertools import chain, islice
from pathlib import PurePath
from typing import Any, BinaryIO, Final, NamedTuple

from serve_app.client import Prediction
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
    """A format of rows; plain lines of text are read from files, but not written to them."""

    TEXT = "text"
    TSV = "tsv"
    CSV = "csv"
    JSONL = "jsonl"


TABLES: Final = frozenset({Format.TSV, Format.CSV})
TEXT_SUFFIXES: Final = frozenset({"", ".txt"})
_BY_SUFFIX: Final = {
    ".tsv": Format.TSV,
    ".csv": Format.CSV,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
}

NOT_UTF8: Final = "the text is not valid UTF-8"

# A larger field is the consequence of a quote that is not closed.
MAX_FIELD_CHARS: Final = 16 * 1024 * 1024


def format_of(path: PurePath, default: Format) -> Format:
    """Return the format that a file's name stands for."""
    return _BY_SUFFIX.get(path.suffix.lower(), default)


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

    A row that cannot be read gets a problem. Blank lines are rows of plain lines and of TSV, but
    not of CSV and JSON lines.

    Args:
        stream: The bytes of the file.
        form: Its format.
        column: The column of the text; plain lines become a column of this name.

    Raises:
        StartupError: The file has no such column.
    """
    lines = _lines(stream, form)
    match form:
        case Format.TEXT:
            texts = map(_without_end, lines)
            return Source((column,), (_row({column: text}, column) for text in texts))
        case Format.TSV:
            return _table((_without_end(line).split("\t") for line in lines), column)
        case Format.CSV:
            return _table(_csv_rows(lines), column)
        case Format.JSONL:
            return _objects((line for line in lines if not line.isspace()), column)


def _lines(stream: BinaryIO, form: Format) -> Iterator[str]:
    # Only a line feed ends a line; the CSV parser needs all line ends as they are.
    newline = "" if form is Format.CSV else "\n"
    lines = io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline)
    try:
        yield from lines
    finally:
        # The caller closes the stream.
        if not stream.closed:
            lines.detach()


def _without_end(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r")


def _csv_rows(lines: Iterable[str]) -> Iterator[list[str]]:
    csv.field_size_limit(MAX_FIELD_CHARS)
    rows = csv.reader(lines)
    try:
        yield from filter(None, rows)
    except csv.Error as error:
        raise StartupError(
            f"cannot read the CSV at line {rows.line_num}: {error}", "is a quote left open?"
        ) from None


def _table(rows: Iterator[list[str]], column: str) -> Source:
    header = tuple(next(rows, []))
    _require(column, header)
    if len(set(header)) < len(header):
        raise StartupError("two columns have the same name", "give each column a name of its own")
    return Source(header, (_table_row(row, header, column) for row in rows))


def _table_row(cells: list[str], header: tuple[str, ...], column: str) -> Row:
    if len(cells) == len(header):
        return _row(dict(zip(header, cells, strict=True)), column)
    # Cut off or filled up, so that the columns of the output stay in line.
    fields = dict(zip(header, [*cells, *[""] * len(header)], strict=False))
    return Row(fields, "", f"the row has {len(cells)} fields, the header {len(header)}")


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


def is_utf8(text: str) -> bool:
    """Return whether a text can be encoded; one with lone surrogates cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _require(column: str, columns: tuple[str, ...]) -> None:
    if column not in columns:
        raise StartupError(
            f"there is no column {column!r}",
            f"choose one with --column: {', '.join(columns) or 'the input is empty'}",
        )
