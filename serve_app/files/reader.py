"""From the bytes of a file to its rows, one at a time."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from itertools import chain
from pathlib import PurePath
from typing import Any, BinaryIO, Final, NamedTuple

from serve_app.client.results import Prediction
from serve_app.errors import StartupError

LABEL: Final = "predicted_label"
SCORE: Final = "score_"
ERROR: Final = "prediction_error"


class Record(NamedTuple):
    """One row of the input.

    Attributes:
        fields: What it holds, by column.
        text: What is to be scored.
        problem: Why it cannot be; empty where it can.
    """

    fields: dict[str, Any]
    text: str
    problem: str = ""


class Failed(NamedTuple):
    """A row that has no prediction."""

    reason: str


Outcome = Prediction | Failed


def added_columns(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns that a row gets: the likeliest label, each label's score, and an error."""
    return (LABEL, *(SCORE + label for label in labels), ERROR)


def added_fields(labels: tuple[str, ...], outcome: Outcome) -> dict[str, Any]:
    """Return what a row gets in these columns; None stands for an empty field."""
    match outcome:
        case Prediction():
            values = (outcome.label, *(outcome.scores[label] for label in labels), None)
        case Failed(reason):
            values = (None, *(None for _ in labels), reason)
    return dict(zip(added_columns(labels), values, strict=True))


class Format(StrEnum):
    """How rows are held; plain lines of text are read, but only a person gets them."""

    TEXT = "text"
    TSV = "tsv"
    CSV = "csv"
    JSONL = "jsonl"


TABLES: Final = frozenset({Format.TSV, Format.CSV})

_BY_SUFFIX: Final = {
    ".tsv": Format.TSV,
    ".csv": Format.CSV,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
}

# Other names say nothing, or of something that is no text.
TEXT_SUFFIXES: Final = frozenset({"", ".txt"})


def format_of(path: PurePath, otherwise: Format) -> Format:
    """Return the format that a file's name stands for."""
    return _BY_SUFFIX.get(path.suffix.lower(), otherwise)


def header_of(form: Format, columns: Iterable[str]) -> bytes:
    """Return the line above the rows, if the format has one."""
    names = list(columns)
    return _ENCODERS[form](dict(zip(names, names, strict=True))) if form in TABLES else b""


def encode(form: Format, fields: dict[str, Any]) -> bytes:
    """Return a row as the format writes it, with the end of its line."""
    return _ENCODERS[form](fields)


def _tsv(fields: dict[str, Any]) -> bytes:
    """TSV knows no quotes, so that what would end a field becomes a space."""
    cells = (_cell(value).translate(_TSV_BREAKS) for value in fields.values())
    return _bytes("\t".join(cells) + "\n")


def _csv(fields: dict[str, Any]) -> bytes:
    """CSV as in RFC 4180, with CRLF."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(map(_cell, fields.values()))
    return _bytes(line.getvalue())


def _jsonl(fields: dict[str, Any]) -> bytes:
    line = json.dumps(fields, ensure_ascii=False) + "\n"
    try:
        return line.encode()
    except UnicodeEncodeError:
        return (json.dumps(fields) + "\n").encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _bytes(line: str) -> bytes:
    try:
        return line.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        # A surrogate that comes from an escape in JSON stands for no byte.
        return line.encode(errors="replace")


_TSV_BREAKS: Final = str.maketrans("\t\r\n", "   ")
_ENCODERS: Final[dict[Format, Callable[[dict[str, Any]], bytes]]] = {
    Format.TSV: _tsv,
    Format.CSV: _csv,
    Format.JSONL: _jsonl,
}


# A larger field is taken for a quote that nobody closed.
MAX_FIELD_CHARS: Final = 16 * 1024 * 1024


class Source(NamedTuple):
    """A file that is being read.

    Attributes:
        columns: Names of its columns. For JSON lines, those of the first row; none where it
            cannot be read.
        records: Its rows.
    """

    columns: tuple[str, ...]
    records: Iterator[Record]

    def aligned(self) -> Iterator[Record]:
        """Yield the rows; one with columns that the first has not gets a problem.

        Only JSON lines have such rows. A table has no place for what they hold.
        """
        for record in self.records:
            other = ", ".join(sorted(record.fields.keys() - self.columns))
            yield record._replace(problem=f"the first row has no {other}") if other else record


def read(stream: BinaryIO, form: Format, column: str) -> Source:
    """Begin to read a file.

    A row that cannot be read is a record with a problem. Blank lines of CSV and JSON lines are
    no rows; those of plain lines and TSV are.

    Args:
        stream: Where its bytes come from.
        form: How it holds its rows.
        column: Which column holds the text; plain lines are a column of this name.

    Raises:
        StartupError: It has no such column.
    """
    lines = _lines(stream, form)
    match form:
        case Format.TEXT:
            texts = (_without_end(line) for line in lines)
            return Source((column,), (_record({column: text}, column) for text in texts))
        case Format.TSV:
            return _table((_without_end(line).split("\t") for line in lines), column)
        case Format.CSV:
            return _table(_csv_rows(lines), column)
        case Format.JSONL:
            return _objects((line for line in lines if not line.isspace()), column)


def _lines(stream: BinaryIO, form: Format) -> Iterator[str]:
    # Only a line feed ends a line; CSV decides by its quotes.
    newline = "" if form is Format.CSV else "\n"
    lines = io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline)
    try:
        yield from lines
    finally:
        # The stream is closed by whoever has opened it.
        if not stream.closed:
            lines.detach()


def _table(rows: Iterator[list[str]], column: str) -> Source:
    header = tuple(next(rows, []))
    _require(column, header)
    if len(set(header)) < len(header):
        raise StartupError("two columns have the same name", "give each column a name of its own")
    return Source(header, (_table_record(row, header, column) for row in rows))


def _table_record(row: list[str], header: tuple[str, ...], column: str) -> Record:
    if len(row) == len(header):
        return _record(dict(zip(header, row, strict=True)), column)
    # Cut or filled up, so that the columns of the output stay in line.
    fields = dict(zip(header, [*row, *[""] * len(header)], strict=False))
    return Record(fields, "", f"the row has {len(row)} fields, the header {len(header)}")


def _objects(lines: Iterator[str], column: str) -> Source:
    first = next(lines, None)
    if first is None:
        return Source((column,), iter(()))
    fields = _object(first)
    if fields is not None:
        _require(column, tuple(fields))
    return Source(
        tuple(fields or ()), (_object_record(line, column) for line in chain([first], lines))
    )


def _object_record(line: str, column: str) -> Record:
    fields = _object(line)
    if fields is None:
        return Record({}, "", "the line is no JSON object")
    if column not in fields:
        return Record(fields, "", f"the object has no {column!r}")
    return _record(fields, column)


def _object(line: str) -> dict[str, Any] | None:
    try:
        read = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None


def _record(fields: dict[str, Any], column: str) -> Record:
    text = fields[column]
    if not isinstance(text, str):
        return Record(fields, "", f"{column!r} is no string")
    return Record(fields, text, "" if is_utf8(text) else "the text is not valid UTF-8")


def is_utf8(text: str) -> bool:
    """Tell whether a text has a form in UTF-8, which one with lone surrogates has not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _csv_rows(lines: Iterable[str]) -> Iterator[list[str]]:
    csv.field_size_limit(MAX_FIELD_CHARS)
    rows = csv.reader(lines)
    try:
        yield from filter(None, rows)
    except csv.Error as error:
        raise StartupError(
            f"cannot read the CSV at line {rows.line_num}: {error}", "is a quote left open?"
        ) from None


def _without_end(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r")


def _require(column: str, columns: tuple[str, ...]) -> None:
    if column not in columns:
        raise StartupError(
            f"there is no column {column!r}",
            f"choose one with --column: {', '.join(columns) or 'the input is empty'}",
        )
