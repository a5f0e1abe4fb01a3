"""`sentiment predict`: score texts, lines and files."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from enum import StrEnum
from itertools import islice, takewhile
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from tqdm import tqdm

from serve_app.cli import files
from serve_app.cli.help import (
    API_KEY,
    ENGINE,
    ENGINE_HELP,
    INTERRUPTED,
    MODEL,
    MODEL_HELP,
    PIPE_CLOSED,
    ROWS_FAILED,
    Engine,
    exit_codes,
)
from serve_app.client import (
    ConnectionFailed,
    RetryPolicy,
    SentimentClient,
    SentimentError,
    StatusError,
    Unauthorized,
)
from serve_app.client.request import DEFAULT_CONCURRENCY, DEFAULT_URL
from serve_app.console import say
from serve_app.errors import StartupError
from serve_app.files.reader import TABLES, Failure, Format, Row, ScoredRow
from serve_app.files.scorers import RemoteScorer, Scorer, score
from serve_app.files.writer import ERROR

# A run of hours outlives a restart of the service.
PATIENCE: Final = RetryPolicy(retries=12, cap_s=30.0)
PATIENCE_S: Final = 600.0


class OnError(StrEnum):
    """Consequences of a row that cannot be scored."""

    RECORD = "record"
    STOP = "stop"


@exit_codes(0, 1, 2, ROWS_FAILED, INTERRUPTED, PIPE_CLOSED)
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
        typer.Option(help="By default that of the name; .txt or no suffix is text."),
    ] = None,
    output_format: Annotated[
        Format | None,
        typer.Option(help="By default that of the name, else the input's; jsonl for text."),
    ] = None,
    column: Annotated[str, typer.Option(help="The column that holds the text.")] = "text",
    url: Annotated[
        str, typer.Option(envvar="SENTIMENT_URL", help="The service to ask.")
    ] = DEFAULT_URL,
    local: Annotated[
        bool, typer.Option("--local", help="Score in this process, without a service.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(help=f"With --local; default: {MODEL}. {MODEL_HELP}"),
    ] = None,
    engine: Annotated[
        Engine | None, typer.Option(help=f"With --local; default: {ENGINE}. {ENGINE_HELP}")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the rows of the output, and go on.")
    ] = False,
    escape: Annotated[
        bool,
        typer.Option(
            "--escape-formulas", help="In CSV and TSV, put ' before what a spreadsheet computes."
        ),
    ] = False,
    on_error: Annotated[
        OnError, typer.Option(help="Record a row that cannot be scored, or stop.")
    ] = OnError.RECORD,
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1, help="Requests at a time, or threads with --local; default: 4, or all cores."
        ),
    ] = None,
) -> None:
    """Score texts, the lines of standard input, or the rows of a file.

    Examples:
      sentiment predict "I love this!" "What a waste."
      sentiment predict -i reviews.csv -o scored.csv
      sentiment predict -i reviews.csv -o scored.csv --resume
      sentiment predict -i reviews.jsonl --column body | jq .predicted_label
      zcat reviews.txt.gz | sentiment predict --local > scored.jsonl

    Each row comes out once, in order, with the columns predicted_label, score_LABEL for
    each label, and prediction_error, which says why a row has no scores.
    Files are UTF-8 or UTF-16, plain or .gz; CSV and TSV have a header, blank lines are not
    rows. TSV has no quotes: a tab or line end in a field is written as a space. Fields stay
    as they are, formulas too: add --escape-formulas to an output for a spreadsheet.
    $SENTIMENT_API_KEY is sent to a service that wants a key.
    """
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
    if not concurrency:
        concurrency = len(os.sched_getaffinity(0)) if local else DEFAULT_CONCURRENCY
    with ExitStack() as stack:
        try:
            given = (
                files.from_arguments(texts, column)
                if texts
                else files.open_input(source, input_format, column, stack)
            )
            scorer: Scorer
            if local:
                # The base installation has no packages to score with.
                from serve_app.files.local import LocalScorer  # noqa: PLC0415

                scorer = LocalScorer(model or MODEL, engine or ENGINE, say)
            else:
                scorer = _connect(url, concurrency, stack)
            output = files.open_output(
                target, output_format, given, scorer.labels, escape, resume=resume, stack=stack
            )
            rows = given.source.aligned() if output.format in TABLES else given.source.rows
            _skip(rows, output.rows)
            threads = stack.enter_context(ThreadPoolExecutor(concurrency))
            results = score(rows, scorer, threads, concurrency)
            failed = _write(results, given, output, stop=on_error is OnError.STOP)
        except SentimentError as error:
            _explain(error, url, "go on with --resume" if target else "")
        except KeyboardInterrupt:
            say("interrupted" + ("; go on with --resume" if target else ""))
            # The interpreter would wait for threads that wait for their next attempt.
            os._exit(INTERRUPTED)
        except BrokenPipeError:
            os._exit(PIPE_CLOSED)
    if failed:
        say(f"rows without scores: {failed}; the column {ERROR} says why")
        raise typer.Exit(ROWS_FAILED)


def _connect(url: str, concurrency: int, stack: ExitStack) -> RemoteScorer:
    key = os.environ.get(API_KEY)
    try:
        # Without retries: a wrong address fails at once.
        with SentimentClient(url, api_key=key, retry=RetryPolicy(retries=0)) as probe:
            probe.info()
        client = SentimentClient(
            url, api_key=key, deadline_s=PATIENCE_S, retry=PATIENCE, concurrency=concurrency
        )
        return RemoteScorer(stack.enter_context(client))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    except SentimentError as error:
        _explain(error, url)


def _explain(error: SentimentError, url: str, progress: str = "") -> NoReturn:
    match error:
        case ConnectionFailed():
            hint = "start a service with `sentiment serve`, name one with --url, or use --local"
        case Unauthorized():
            hint = f"set ${API_KEY} to a key that the service knows"
        case StatusError(status=404 | 405):
            hint = f"is {url} the address of this service, without /project?"
        case _:
            hint = "try again later; the service logs the request under its id"
    # A request that reached no service is in no log.
    logged = error.request_id and not isinstance(error, ConnectionFailed)
    problem = f"{error.message} (request {error.request_id})" if logged else error.message
    raise StartupError(problem, error.hint or progress or hint) from None


def _write(
    results: Iterable[Sequence[ScoredRow]], given: files.Input, output: files.Output, *, stop: bool
) -> int:
    """Write scored rows as they come, and return how many rows of the output have no scores."""
    written, failed = output.rows, output.failed
    shown = output.stream is sys.stdout.buffer and sys.stdout.isatty()
    # With None, tqdm shows a bar only at a terminal.
    with tqdm(
        total=given.size, unit="B", unit_scale=True, leave=False, disable=shown or None
    ) as bar:
        for scored in results:
            reasons = [row.outcome.reason for row in scored if isinstance(row.outcome, Failure)]
            kept = scored
            if stop:
                kept = list(takewhile(lambda row: not isinstance(row.outcome, Failure), scored))
            output.stream.write(output.render(kept))
            output.stream.flush()
            written, failed = written + len(kept), failed + len(reasons)
            if stop and reasons:
                raise StartupError(
                    f"row {written + 1}: {reasons[0]}",
                    "correct it and go on with --resume, or continue with --on-error record",
                )
            if given.size and given.stream:
                bar.update(given.stream.tell() - bar.n)
            bar.set_postfix_str(f"{written} rows")
    return failed


def _skip(rows: Iterator[Row], count: int) -> None:
    if sum(1 for _ in islice(rows, count)) < count:
        raise StartupError(
            f"the output has {count} rows, more than the input",
            "resume with the input of the first run, or remove the output",
        )
