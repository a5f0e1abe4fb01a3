"""Scored rows: their columns, writing them, and resuming an output that was cut off."""

import csv
import io
import json
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from serve_app.decoding import is_utf8
from serve_app.errors import StartupError
from serve_app.files.reader import TABLES, Failure, Format, Outcome, ScoredRow, json_object

LABEL: Final = "predicted_label"
SCORE: Final = "score_"
ERROR: Final = "prediction_error"


def added_columns(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns that a row gets: the best label, the score of each label, an error."""
    return (LABEL, *(SCORE + label for label in labels), ERROR)


def added_fields(labels: tuple[str, ...], outcome: Outcome) -> dict[str, Any]:
    """Return the values of these columns for a row; None stands for an empty field."""
    values: tuple[Any, ...]
    if isinstance(outcome, Failure):
        values = (None, *(None for _ in labels), outcome.reason)
    else:
        values = (outcome.label, *(outcome.scores[label] for label in labels), None)
    return dict(zip(added_columns(labels), values, strict=True))


def refuse_added_columns(name: str, columns: Collection[str], labels: tuple[str, ...]) -> None:
    """Raise `StartupError` if an input has a column of the output."""
    if taken := set(added_columns(labels)).intersection(columns):
        raise StartupError(
            f"{name} has a column {', '.join(sorted(taken))} already",
            "rename it, or give an input that has not been scored",
        )


# What spreadsheets compute, after blanks and in wide forms too:
# https://owasp.org/www-community/attacks/CSV_Injection
FORMULA: Final = re.compile(r"[\s\0\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")


class Layout(NamedTuple):
    """The form of an output: its format, the columns of the input, and the model's labels.

    `escape` puts an apostrophe before the fields of a table that a spreadsheet would compute.
    """

    form: Format
    columns: tuple[str, ...]
    labels: tuple[str, ...]
    escape: bool = False

    @property
    def all_columns(self) -> tuple[str, ...]:
        """The columns of the output."""
        return (*self.columns, *added_columns(self.labels))

    def header(self) -> bytes:
        """Return the line above the rows; empty where the format has none.

        Raises `StartupError` if the input has a column of the output, or its columns are not known.
        """
        refuse_added_columns("the input", self.columns, self.labels)
        if self.form not in TABLES:
            return b""
        if not self.columns:
            raise StartupError(
                "the columns are not known: the first line is not a JSON object",
                "write JSON lines: --output-format jsonl",
            )
        return self._encoded({name: name for name in self.all_columns})

    def rows(self, rows: Iterable[ScoredRow]) -> bytes:
        """Return rows as they are written."""
        return b"".join(map(self._line, rows))

    def _line(self, scored: ScoredRow) -> bytes:
        fields = scored.row.fields
        if self.form in TABLES:
            fields = {column: fields.get(column) for column in self.columns}
        return self._encoded({**fields, **added_fields(self.labels, scored.outcome)})

    def _encoded(self, fields: dict[str, Any]) -> bytes:
        if self.escape and self.form in TABLES:
            fields = {
                name: f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value
                for name, value in fields.items()
            }
        return _encoded(self.form, fields)


_TSV_BREAKS: Final = str.maketrans("\t\r\n", "   ")


def _encoded(form: Format, fields: dict[str, Any]) -> bytes:
    if form is Format.JSONL:
        # Parquet has values that JSON has not, such as dates.
        line = json.dumps(fields, ensure_ascii=False, default=str)
        return (line if is_utf8(line) else json.dumps(fields, default=str)).encode() + b"\n"
    cells = [_cell(value) for value in fields.values()]
    if form is Format.TSV:
        # TSV has no quotes: what would end a field becomes a space.
        line = "\t".join(cell.translate(_TSV_BREAKS) for cell in cells) + "\n"
    else:
        buffer = io.StringIO()
        # The line end of RFC 4180.
        csv.writer(buffer, lineterminator="\r\n").writerow(cells)
        line = buffer.getvalue()
    try:
        return line.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        # A surrogate from an escape in JSON stands for no byte.
        return line.encode(errors="replace")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


class Written(NamedTuple):
    """The whole rows of an output without its header, those of them without scores, their end."""

    rows: int
    failed: int
    bytes: int


def open_file(path: Path, layout: Layout, *, resume: bool) -> tuple[BinaryIO, Written]:
    """Open an output to write its next row, after the rows that it has where it is resumed.

    Raises `StartupError` if it exists and is not to be resumed, has other columns, or cannot be
    written.
    """
    if path.exists() and not resume:
        raise StartupError(
            f"{path} exists already", "go on where it ends with --resume, or remove it"
        )
    try:
        header = layout.header()
        written = finished(path, layout)
        path.touch()
        stream = path.open("r+b")
        stream.truncate(written.bytes)
        stream.seek(written.bytes)
        if written.bytes == 0:
            stream.write(header)
    except OSError as error:
        raise StartupError(f"cannot write {path}: {error.strerror}") from None
    return stream, written


def finished(path: Path, layout: Layout) -> Written:
    """Count the whole rows of an output, which need not exist.

    Raises `StartupError` if it has other columns; JSON lines have them in the first row.
    """
    nothing = Written(0, 0, 0)
    if not path.exists():
        return nothing
    header = layout.header()
    with path.open("rb") as output:
        found = output.read(len(header))
        table = layout.form in TABLES
        if not (header.startswith(found) if table else _begins(output, layout.all_columns)):
            raise StartupError(
                f"{path} has other columns than this run would write",
                "resume with the input, options and model of the first run, or remove the file",
            )
        output.seek(len(found))
        return _count(output, layout.form) if found == header else nothing


def _begins(output: BinaryIO, columns: tuple[str, ...]) -> bool:
    """Return whether JSON lines begin with a row of these columns, even a torn one."""
    line = output.readline()
    row = json_object(line)
    torn = not line.endswith(b"\n")
    return tuple(row) == columns if row is not None else torn and line[:1] in {b"", b"{"}


def _count(output: BinaryIO, form: Format) -> Written:
    rows, failed, end, position, quoted = 0, 0, output.tell(), output.tell(), False
    for line in output:
        position += len(line)
        # Within quotes a line feed belongs to the field; a quote in a field is doubled.
        if form is Format.CSV and line.count(b'"') % 2:
            quoted = not quoted
        if line.endswith(b"\n") and not quoted:
            rows, end = rows + 1, position
            failed += _has_error(line, form)
    return Written(rows, failed, end)


# The error is the last field of a row, so that the end of a line shows whether there is one.
_NO_ERROR: Final = {
    Format.TSV: b"\t\n",
    Format.CSV: b",\r\n",
    Format.JSONL: _encoded(Format.JSONL, {ERROR: None}).removeprefix(b"{"),
}


def _has_error(line: bytes, form: Format) -> bool:
    if line.endswith(_NO_ERROR[form]):
        return False
    # Where the input has a field of this name, JSON has the error in the input's place.
    row = None if form in TABLES else json_object(line)
    return row is None or row.get(ERROR) is not None
