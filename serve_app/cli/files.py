"""Where a command's rows come from and where they go."""

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import typer

from serve_app.console import colours
from serve_app.decoding import HEAD_BYTES
from serve_app.errors import StartupError
from serve_app.files.reader import (
    NOT_WRITTEN,
    TABLES,
    Failure,
    Format,
    Row,
    ScoredRow,
    Source,
    format_of,
    read,
)
from serve_app.files.writer import Layout, open_file

STDIN: Final = Path("-")


class Input(NamedTuple):
    """Rows.

    Attributes:
        source: Columns and rows.
        form: How they are held.
        stream: Where their bytes come from; None where they are arguments.
        size: Bytes of the stream, where that is known.
    """

    source: Source
    form: Format
    stream: BinaryIO | None
    size: int | None


class Output(NamedTuple):
    """A place for rows.

    Attributes:
        stream: Where their bytes go.
        form: How they are held.
        rows: Rows that it holds already.
        failed: How many of them have no scores.
        render: Makes the bytes of scored rows.
    """

    stream: BinaryIO
    form: Format
    rows: int
    failed: int
    render: Callable[[Sequence[ScoredRow]], bytes]


def arguments(texts: list[str], column: str) -> Input:
    """Take texts from the command line as rows."""
    records = (Row({column: text}, text) for text in texts)
    return Input(Source((column,), records), Format.TEXT, None, None)


def opened(path: Path, form: Format | None, column: str, stack: ExitStack) -> Input:
    """Open a file of rows.

    Args:
        path: The file, or `STDIN`.
        form: Its format; by default what its name says.
        column: Which column holds the text.
        stack: Closes it.

    Raises:
        StartupError: It cannot be read, or has no such column.
    """
    chosen = form or format_of(path)
    if chosen is None:
        raise typer.BadParameter(
            f"the name of {path} tells no format that is read ({', '.join(Format)}): "
            "say which it is with --input-format"
        )
    if path == STDIN:
        if sys.stdin.isatty():
            raise typer.BadParameter("give texts, a file with --input, or lines on standard input")
        stdin = sys.stdin.buffer
        return Input(read(stdin, chosen, column), chosen, stdin, None)
    try:
        stream = stack.enter_context(path.open("rb", buffering=HEAD_BYTES))
    except OSError as error:
        raise StartupError(f"cannot read {path}: {error.strerror}") from None
    size = os.fstat(stream.fileno()).st_size or None
    return Input(read(stream, chosen, column), chosen, stream, size)


def created(
    path: Path | None,
    form: Format | None,
    source: Input,
    labels: tuple[str, ...],
    *,
    resume: bool,
    stack: ExitStack,
) -> Output:
    """Open the output.

    Args:
        path: A file; None is standard output.
        form: Its format; by default what its name says, else that of the input, else JSON
            lines. Text is for a person: the default for texts at a terminal, and for no file.
        source: Whose rows it is to hold.
        labels: The model's labels.
        resume: Whether the file may hold rows.
        stack: Closes it.

    Raises:
        StartupError: It cannot be written, or not with these columns.
    """
    chosen = form or _default_form(path, source.form)
    if chosen is Format.PARQUET or (path and path.suffix.lower() in NOT_WRITTEN):
        raise typer.BadParameter("rows are written as tsv, csv or jsonl, and are not packed")
    layout = Layout(chosen, source.source.columns, labels)
    if path is None:
        stdout = sys.stdout.buffer
        if chosen is Format.TEXT:
            return Output(stdout, chosen, 0, 0, lambda results: plain(results, labels).encode())
        stdout.write(layout.header())
        return Output(stdout, chosen, 0, 0, layout.rows)
    if chosen is Format.TEXT:
        raise typer.BadParameter("text is for standard output; choose tsv, csv or jsonl")
    stream, done = open_file(path, layout, resume=resume)
    return Output(stack.enter_context(stream), chosen, done.rows, done.failed, layout.rows)


def _default_form(path: Path | None, source: Format) -> Format:
    if path is None and source is Format.TEXT and sys.stdout.isatty():
        return Format.TEXT
    otherwise = source if source in TABLES else Format.JSONL
    named = format_of(path) if path else None
    return otherwise if named in {None, Format.TEXT} else named


_NARROWEST: Final = 20


def plain(results: Iterable[ScoredRow], labels: tuple[str, ...]) -> str:
    """Return a line for each row: its label, the label's score, and the start of its text.

    Args:
        results: The rows.
        labels: The model's labels.
    """
    width = max(map(len, labels))
    room = max(_NARROWEST, shutil.get_terminal_size().columns - width - len("  0.000  "))
    return "".join(_line(result, width, room) for result in results)


def _line(result: ScoredRow, width: int, room: int) -> str:
    match result.outcome:
        case Failure(reason):
            return f"{_styled('-'.ljust(width))}  {'-':5}  {reason}\n"
        case prediction:
            label = _styled(prediction.label.ljust(width))
            return f"{label}  {prediction.score:.3f}  {_shown(result.row.text, room)}\n"


def _shown(text: str, room: int) -> str:
    """Return a text on one line; a text from elsewhere must not send commands to a terminal."""
    line = "".join(each if each.isprintable() else " " for each in text)
    return line if len(line) <= room else line[: room - 1] + "…"


def _styled(label: str) -> str:
    return typer.style(label, bold=True) if colours() else label
