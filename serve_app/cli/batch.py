"""`sentiment batch`: score Parquet data sets on a Ray cluster."""

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer
from tqdm import tqdm

from serve_app.cli.help import (
    ENGINE,
    ENGINE_HELP,
    INTERRUPTED,
    MODEL,
    MODEL_HELP,
    ROWS_FAILED,
    Engine,
    exit_codes,
)
from serve_app.console import say
from serve_app.errors import StartupError
from serve_app.files.writer import ERROR

# The path of a socket has at most 107 bytes.
MAX_TMPDIR_BYTES: Final = 107 - len(
    "/ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
)


@exit_codes(0, 1, 2, ROWS_FAILED, INTERRUPTED)
def batch(  # noqa: PLR0917 - typer calls it by keyword
    source: Annotated[str, typer.Argument(help="Parquet file or directory; a path or a URI.")],
    target: Annotated[str, typer.Argument(help="Directory for the output; a path or a URI.")],
    column: Annotated[str, typer.Option(help="The column that holds the text.")] = "text",
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = MODEL,
    engine: Annotated[Engine, typer.Option(help=ENGINE_HELP)] = ENGINE,
    actors: Annotated[
        int | None, typer.Option(min=1, help="Engines at a time; default: one for each CPU.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the finished files of the output, and go on.")
    ] = False,
) -> None:
    """Score a Parquet file, or a directory of them, on a Ray cluster.

    Examples:
      sentiment batch reviews.parquet scored/
      sentiment batch reviews/ scored/ --column body --resume
      RAY_ADDRESS=auto sentiment batch s3://bucket/reviews s3://bucket/scored

    The output is a directory of Parquet files with the columns of the input, predicted_label,
    score_LABEL for each label, and prediction_error, which says why a row has no scores.
    File names sort as the rows do. --resume continues a broken run: finished files stay,
    and every row comes out exactly once. Without $RAY_ADDRESS, Ray starts on this machine
    for this run.
    """
    address = prepare_ray()
    # Ray reads the environment when it is imported.
    from serve_app.batch.job import Job, file_system, input_files  # noqa: PLC0415
    from serve_app.batch.run import Output, run  # noqa: PLC0415
    from serve_app.export.prepare import resolve_engine  # noqa: PLC0415
    from serve_app.model.store import resolve  # noqa: PLC0415

    identity = resolve(model)
    resolved = resolve_engine(identity, engine, say)
    filesystem, files = input_files(source, column, identity.labels)
    job = Job(model, identity.digest, resolved, identity.labels, column, files)
    output = Output(*file_system(target))
    output.begin(job, resume=resume)
    say(f"joining the Ray cluster {address}" if address else "starting Ray on this machine")
    try:
        with (
            _without_native_messages(),
            tqdm(total=job.rows, unit=" rows", leave=False, disable=None) as bar,
        ):
            bar.update(job.rows - sum(shard.rows for shard in output.missing(job)))
            for rows in run(job, filesystem, output, address, actors):
                bar.update(rows)
    except KeyboardInterrupt:
        say("interrupted; go on with --resume")
        raise typer.Exit(INTERRUPTED) from None
    failed = output.verify(job)
    say(f"{job.rows} rows are in {target}")
    if failed:
        say(f"rows without scores: {failed}; the column {ERROR} says why")
        raise typer.Exit(ROWS_FAILED)


def prepare_ray() -> str | None:
    """Set the variables that Ray reads when it is imported.

    Returns:
        The address of the cluster to join; None to start one on this machine.

    Raises:
        StartupError: The directory for temporary files has too long a name for Ray's sockets.
    """
    if address := os.environ.get("RAY_ADDRESS"):
        return address
    name = "RAY_TMPDIR" if os.environ.get("RAY_TMPDIR") else "TMPDIR"
    length = len(os.fsencode(os.environ.get(name, "")))
    if length > MAX_TMPDIR_BYTES:
        raise StartupError(
            f"${name} has {length} bytes, and Ray's sockets leave it {MAX_TMPDIR_BYTES}",
            f"set it to a shorter directory: {name}=/tmp",
        )
    os.environ |= {
        # A client of a Ray cluster can run code on it: only this run knows the token.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    return None


@contextmanager
def _without_native_messages() -> Iterator[None]:
    """Drop the messages of native code on standard error, but not those of Python.

    Ray warns needlessly of each pool of actors that Ray Data makes:
    https://github.com/ray-project/ray/issues/57733. Its log files have all messages, and a
    failure raises an exception.
    """
    shown, sys.stderr = sys.stderr, os.fdopen(os.dup(2), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(sys.stderr.fileno(), 2)
        sys.stderr.close()
        sys.stderr = shown
