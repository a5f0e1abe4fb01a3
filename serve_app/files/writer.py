"""Where scored rows go."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from serve_app.errors import StartupError
from serve_app.files.reader import (
    ERROR,
    TABLES,
    Format,
    added_columns,
    added_fields,
    encode,
    header_of,
)
from serve_app.files.run import Result


class Layout(NamedTuple):
    """How rows are written.

    Attributes:
        form: The format.
        columns: The columns of the input.
        labels: The model's labels.
    """

    form: Format
    columns: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def written(self) -> tuple[str, ...]:
        """The columns of the output."""
        return (*self.columns, *added_columns(self.labels))

    def header(self) -> bytes:
        """Return what stands above the rows.

        Raises:
            StartupError: The input has a column that a prediction would go to, or the columns
                are not known.
        """
        if taken := set(added_columns(self.labels)).intersection(self.columns):
            raise StartupError(
                f"the input has a column {', '.join(sorted(taken))} already",
                "rename it, or give an input that has not been scored",
            )
        if self.form in TABLES and not self.columns:
            raise StartupError(
                "the first line is no JSON object, so that the columns are not known",
                "write JSON lines: --output-format jsonl",
            )
        return header_of(self.form, self.written)

    def rows(self, results: Iterable[Result]) -> bytes:
        """Return rows as they are written."""
        return b"".join(encode(self.form, self._row(result)) for result in results)

    def _row(self, result: Result) -> dict[str, Any]:
        fields = result.record.fields
        if self.form in TABLES:
            fields = {column: fields.get(column) for column in self.columns}
        return {**fields, **added_fields(self.labels, result.outcome)}


class Opened(NamedTuple):
    """An output that is ready for its next row.

    Attributes:
        stream: Where its bytes go.
        rows: Rows that it holds already.
        failed: How many of them have no scores.
    """

    stream: BinaryIO
    rows: int
    failed: int


def open_file(path: Path, layout: Layout, *, resume: bool) -> Opened:
    """Open a file for writing, behind the whole rows that it holds where it is resumed.

    Args:
        path: The file.
        layout: How its rows are written; its header is, where it is not there.
        resume: Whether it may hold rows.

    Raises:
        StartupError: It is there and is not to be resumed, has other columns, or cannot be
            written.
    """
    if path.exists() and not resume:
        raise StartupError(
            f"{path} is there already", "go on where it ends with --resume, or remove it"
        )
    try:
        header = layout.header()
        rows, failed, end = finished(path, layout.form, layout.written)
        path.touch()
        stream = path.open("r+b")
        stream.truncate(end)
        stream.seek(end)
        if end == 0:
            stream.write(header)
    except OSError as error:
        raise StartupError(f"cannot write {path}: {error.strerror}") from None
    return Opened(stream, rows, failed)


# The error is the last field of a row, so that the end of a line tells whether there is one.
_NO_ERROR: Final = {
    Format.TSV: b"\t\n",
    Format.CSV: b",\r\n",
    Format.JSONL: encode(Format.JSONL, {ERROR: None}).removeprefix(b"{"),
}


class Finished(NamedTuple):
    """The whole rows of an output.

    Attributes:
        rows: How many there are, the header not counted.
        failed: How many of them have no scores.
        bytes: Where the last of them ends; what follows is torn.
    """

    rows: int
    failed: int
    bytes: int


def finished(path: Path, form: Format, columns: tuple[str, ...]) -> Finished:
    """Count the whole rows of an output.

    Args:
        path: The output; it need not exist.
        form: Its format.
        columns: The columns of its rows. JSON lines have them in the first row.

    Raises:
        StartupError: It was written with other columns.
    """
    if not path.exists():
        return Finished(0, 0, 0)
    header = header_of(form, columns)
    with path.open("rb") as output:
        found = output.read(len(header))
        if not (header.startswith(found) if form in TABLES else _begins(output, columns)):
            raise StartupError(
                f"{path} has other columns than this run would write",
                "resume with the input, options and model of the first run, or remove the file",
            )
        if found != header:
            return Finished(0, 0, 0)
        output.seek(len(header))
        return _count(output, form)


def _begins(output: BinaryIO, columns: tuple[str, ...]) -> bool:
    """Tell whether JSON lines begin with a row of these columns, be it torn or missing."""
    line = output.readline()
    row = _read(line)
    torn = not line.endswith(b"\n")
    return tuple(row) == columns if row is not None else torn and line[:1] in {b"", b"{"}


def _count(output: BinaryIO, form: Format) -> Finished:
    rows, failed, end, position, quoted = 0, 0, output.tell(), output.tell(), False
    for line in output:
        position += len(line)
        # Within quotes a line feed belongs to the field; a quote in a field is doubled.
        if form is Format.CSV and line.count(b'"') % 2:
            quoted = not quoted
        if line.endswith(b"\n") and not quoted:
            rows, end = rows + 1, position
            failed += _has_error(line, form)
    return Finished(rows, failed, end)


def _has_error(line: bytes, form: Format) -> bool:
    if line.endswith(_NO_ERROR[form]):
        return False
    # Where the input's row has a field of this name, JSON has it in the input's place.
    row = None if form in TABLES else _read(line)
    return row is None or row.get(ERROR) is not None


def _read(line: bytes) -> dict[str, object] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None
