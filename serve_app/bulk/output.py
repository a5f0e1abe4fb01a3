"""Where scored rows go."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from serve_app.bulk.formats import TABLES, Format, encode, header_of
from serve_app.bulk.record import added_columns, added_fields
from serve_app.bulk.resume import finished
from serve_app.bulk.run import Result
from serve_app.errors import StartupError


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
