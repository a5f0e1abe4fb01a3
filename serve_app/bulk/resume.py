"""What an interrupted run has left in its output."""

from pathlib import Path
from typing import NamedTuple

from serve_app.bulk.formats import Format
from serve_app.errors import StartupError


class Finished(NamedTuple):
    """The whole rows of an output.

    Attributes:
        rows: How many there are, the header not counted.
        bytes: Where the last of them ends; what follows is torn.
    """

    rows: int
    bytes: int


def finished(path: Path, form: Format, header: bytes) -> Finished:
    """Count the whole rows of an output.

    Args:
        path: The output; it need not exist.
        form: Its format.
        header: What stands above its rows.

    Raises:
        StartupError: It was written with other columns.
    """
    if not path.exists():
        return Finished(0, 0)
    with path.open("rb") as output:
        found = output.read(len(header))
        if not header.startswith(found):
            raise StartupError(
                f"{path} has other columns than this run would write",
                "resume with the input, options and model of the first run, or remove the file",
            )
        if found != header:
            return Finished(0, 0)
        rows, end, position, quoted = 0, len(header), len(header), False
        for line in output:
            position += len(line)
            # Within quotes a line feed belongs to the field; a quote in a field is doubled.
            if form is Format.CSV and line.count(b'"') % 2:
                quoted = not quoted
            if line.endswith(b"\n") and not quoted:
                rows, end = rows + 1, position
    return Finished(rows, end)
