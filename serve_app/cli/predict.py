"""`sentiment predict`: score texts, lines and files."""

import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from tqdm import tqdm

from serve_app.cli import files, scoring
from serve_app.cli.help import INTERRUPTED, PIPE_CLOSED, ROWS_FAILED, help_text
from serve_app.client import request as connection
from serve_app.client.errors import SentimentError
from serve_app.console import say
from serve_app.errors import StartupError
from serve_app.files.reader import TABLES, Failure, Format, Row, ScoredRow
from serve_app.files.scorers import score
from serve_app.files.writer import ERROR

HELP: Final = help_text(
    "Score texts, the lines of standard input, or the rows of a file.",
    """
sentiment predict "I love this!" "What a waste."
sentiment predict -i reviews.csv -o scored.csv
sentiment predict -i reviews.csv -o scored.csv --resume
sentiment predict -i reviews.jsonl --column body | jq .predicted_label
zcat reviews.txt.gz | sentiment predict --local > scored.jsonl
""",
    f"""
Each row comes out once, in order, with the columns predicted_label, score_LABEL for
each label, and {ERROR}, which says why a row has no scores.
Files are UTF-8; CSV and TSV have a header. TSV has no quotes: a tab or line end in a
field is written as a space. ${scoring.API_KEY} is sent to a service that wants a key.
""",
    exit_codes=(0, 1, 2, ROWS_FAILED, INTERRUPTED, PIPE_CLOSED),
)


class OnError(StrEnum):
    """What a row that cannot be scored does to the run."""

    RECORD = "record"
    STOP = "stop"


def predict(  # noqa: PLR0917 - typer calls it by keyword
    texts: Annotated[list[str] | None, typer.Argument(help="Texts to score.")] = None,
    source: Annotated[
        Path, typer.Option("--input", "-i", help="File of rows; - is standard input.")
    ] = files.STDIN,
    target: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for the rows and their scores.")
    ] = None,
    input_format: Annotated[
        Format | None,
        typer.Option(help="By default what the name says; .txt or no suffix is text."),
    ] = None,
    output_format: Annotated[
        Format | None,
        typer.Option(help="By default what the name says, else the input's; jsonl for text."),
    ] = None,
    column: Annotated[str, typer.Option(help="The column that holds the text.")] = "text",
    url: Annotated[
        str, typer.Option(envvar="SENTIMENT_URL", help="The service to ask.")
    ] = connection.DEFAULT_URL,
    local: Annotated[
        bool, typer.Option("--local", help="Score in this process, without a service.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(help=f"With --local; default: {scoring.MODEL}. See `sentiment model info`."),
    ] = None,
    engine: Annotated[
        scoring.Engine | None, typer.Option(help=f"With --local; default: {scoring.ENGINE}.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the rows that the output has, and go on.")
    ] = False,
    on_error: Annotated[
        OnError, typer.Option(help="What a row that cannot be scored does to the run.")
    ] = OnError.RECORD,
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1, help="Requests at a time, or threads with --local; default: 4, or all cores."
        ),
    ] = None,
) -> None:
    """Score texts; `HELP` is what users read."""
    if texts and source != files.STDIN:
        raise typer.BadParameter("give texts or --input, not both")
    if texts and input_format:
        raise typer.BadParameter("--input-format is for files and lines, not for arguments")
    if (model or engine) and not local:
        raise typer.BadParameter("a service has its own model and engine: add --local to choose")
    if resume and target is None:
        raise typer.BadParameter("--resume goes on with a file: name it with --output")
    if target and target.exists() and source.exists() and target.samefile(source):
        raise typer.BadParameter("the output is the input")
    at_once = concurrency or (_cores() if local else connection.DEFAULT_CONCURRENCY)
    with ExitStack() as stack:
        try:
            given = (
                files.arguments(texts, column)
                if texts
                else files.opened(source, input_format, column, stack)
            )
            scorer = (
                scoring.local(model or scoring.MODEL, engine or scoring.ENGINE)
                if local
                else scoring.remote(url, at_once, stack)
            )
            output = files.created(
                target, output_format, given, scorer.labels, resume=resume, stack=stack
            )
            rows = given.source.aligned() if output.form in TABLES else given.source.rows
            _skip(rows, output.rows)
            threads = stack.enter_context(ThreadPoolExecutor(at_once))
            results = score(rows, scorer, threads, at_once)
            failed = _write(results, given, output, stop=on_error is OnError.STOP)
        except SentimentError as error:
            scoring.explain(error, url, "go on with --resume" if target else "")
        except KeyboardInterrupt:
            say("interrupted" + ("; go on with --resume" if target else ""))
            _leave(INTERRUPTED)
        except BrokenPipeError:
            _leave(PIPE_CLOSED)
    if failed:
        say(f"rows without scores: {failed}; the column {ERROR} says why")
        raise typer.Exit(ROWS_FAILED)


def _write(
    results: Iterable[Sequence[ScoredRow]], given: files.Input, output: files.Output, *, stop: bool
) -> int:
    """Write scored rows as they come, and return how many of the output have no scores.

    Raises:
        StartupError: One of them has none, and the run is to stop there.
    """
    written, failed = output.rows, output.failed
    in_the_way = output.stream is sys.stdout.buffer and sys.stdout.isatty()
    # Without a terminal, tqdm shows nothing where it may decide itself.
    with tqdm(
        total=given.size, unit="B", unit_scale=True, leave=False, disable=in_the_way or None
    ) as bar:
        for chunk in results:
            bad = [n for n, result in enumerate(chunk) if isinstance(result.outcome, Failure)]
            good = chunk[: bad[0]] if stop and bad else chunk
            output.stream.write(output.render(good))
            output.stream.flush()
            written, failed = written + len(good), failed + len(bad)
            if stop and bad:
                _stop(written + 1, chunk[bad[0]])
            if given.size and given.stream:
                bar.update(given.stream.tell() - bar.n)
            bar.set_postfix_str(f"{written} rows")
    return failed


def _stop(number: int, result: ScoredRow) -> NoReturn:
    assert isinstance(result.outcome, Failure)
    raise StartupError(
        f"row {number}: {result.outcome.reason}",
        "correct it and go on with --resume, or go on in spite of it with --on-error record",
    )


def _skip(rows: Iterator[Row], count: int) -> None:
    """Pass over the rows that the output has.

    Raises:
        StartupError: There are fewer, so that the output belongs to another input.
    """
    last = deque(enumerate(islice(rows, count), start=1), maxlen=1)
    if count and (not last or last[0][0] < count):
        raise StartupError(
            f"the output has {count} rows, more than the input",
            "resume with the input of the first run, or remove the output",
        )


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _leave(status: int) -> NoReturn:
    """End at once: a thread may wait for its next attempt, and the interpreter for it."""
    os._exit(status)
