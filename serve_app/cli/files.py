"""The input and the output of `sentiment predict`."""

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import typer

from serve_app.console import clean, colours
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
MIN_TEXT_WIDTH: Final = 20


class Input(NamedTuple):
    """Rows to score, and the stream that they are read from, with its bytes if known."""

    source: Source
    format: Format
    stream: BinaryIO | None
    size: int | None


class Output(NamedTuple):
    """A destination of scored rows, which `render` makes bytes of.

    `rows` is the number of rows of an earlier run, `failed` of those among them without scores.
    """

    stream: BinaryIO
    format: Format
    rows: int
    failed: int
    render: Callable[[Sequence[ScoredRow]], bytes]


def from_arguments(texts: list[str], column: str) -> Input:
    """Return texts of the command line as rows."""
    rows = (Row({column: text}, text) for text in texts)
    return Input(Source((column,), rows), Format.TEXT, None, None)


def open_input(path: Path, given: Format | None, column: str, stack: ExitStack) -> Input:
    """Open a file of rows, or `STDIN`; its format is by default that of its name.

    Raises:
        StartupError: The file cannot be read, or has no such column.
    """
    form = given or format_of(path)
    if form is None:
        raise typer.BadParameter(
            f"the name of {clean(str(path))} has no known format ({', '.join(Format)}): "
            "name the format with --input-format"
        )
    if path == STDIN:
        if sys.stdin.isatty():
            raise typer.BadParameter("give texts, a file with --input, or lines on standard input")
        stdin = sys.stdin.buffer
        return Input(read(stdin, form, column), form, stdin, None)
    try:
        stream = stack.enter_context(path.open("rb", buffering=HEAD_BYTES))
    except OSError as error:
        raise StartupError(f"cannot read {path}: {error.strerror}") from None
    size = os.fstat(stream.fileno()).st_size or None
    return Input(read(stream, form, column), form, stream, size)


def open_output(
    path: Path | None,
    given: Format | None,
    source: Input,
    labels: tuple[str, ...],
    escape: bool,
    *,
    resume: bool,
    stack: ExitStack,
) -> Output:
    """Open the output: a file, which may hold rows if `resume`, or standard output.

    The format is by default that of the file's name, else that of the input, else JSON lines.
    Text is for a person: the default for texts at a terminal, and for no file.

    Raises:
        StartupError: The file cannot be written, or has other columns.
    """
    form = given or _default_format(path, source.format)
    if form is Format.PARQUET or (path and path.suffix.lower() in NOT_WRITTEN):
        raise typer.BadParameter("rows are written as tsv, csv or jsonl, and are not packed")
    layout = Layout(form, source.source.columns, labels, escape)
    if path is None:
        stdout = sys.stdout.buffer
        if form is Format.TEXT:
            return Output(stdout, form, 0, 0, lambda results: _lines(results, labels).encode())
        stdout.write(layout.header())
        return Output(stdout, form, 0, 0, layout.rows)
    if form is Format.TEXT:
        raise typer.BadParameter("text is for standard output; choose tsv, csv or jsonl")
    stream, done = open_file(path, layout, resume=resume)
    return Output(stack.enter_context(stream), form, done.rows, done.failed, layout.rows)


def _default_format(path: Path | None, source: Format) -> Format:
    if path is None and source is Format.TEXT and sys.stdout.isatty():
        return Format.TEXT
    otherwise = source if source in TABLES else Format.JSONL
    named = format_of(path) if path else None
    return otherwise if named in {None, Format.TEXT} else named


def _lines(results: Iterable[ScoredRow], labels: tuple[str, ...]) -> str:
    width = max(map(len, labels))
    room = max(MIN_TEXT_WIDTH, shutil.get_terminal_size().columns - width - len("  0.000  "))
    return "".join(_line(result, width, room) for result in results)


def _line(result: ScoredRow, width: int, room: int) -> str:
    match result.outcome:
        case Failure(reason):
            return f"{_styled('-'.ljust(width))}  {'-':5}  {clean(reason)}\n"
        case prediction:
            label = _styled(clean(prediction.label).ljust(width))
            text = clean(result.row.text)
            text = text if len(text) <= room else text[: room - 1] + "…"
            return f"{label}  {prediction.score:.3f}  {text}\n"


def _styled(label: str) -> str:
    return typer.style(label, bold=True) if colours() else label
