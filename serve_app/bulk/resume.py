"""What an interrupted run has left in its output."""

import json
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from serve_app.bulk.formats import TABLES, Format, encode, header_of
from serve_app.bulk.record import ERROR
from serve_app.errors import StartupError

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
