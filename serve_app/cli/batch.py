"""`sentiment batch`: score Parquet data sets on a Ray cluster."""

from typing import Annotated, Final

import typer
from tqdm import tqdm

from serve_app.batch import environment
from serve_app.cli.help import ENGINE, INTERRUPTED, MODEL, ROWS_FAILED, Engine, help_text
from serve_app.console import say
from serve_app.files.writer import ERROR

HELP: Final = help_text(
    "Score a Parquet file, or a directory of them, on a Ray cluster.",
    """
sentiment batch reviews.parquet scored/
sentiment batch reviews/ scored/ --column body --resume
RAY_ADDRESS=auto sentiment batch s3://bucket/reviews s3://bucket/scored
""",
    f"""
The output is a directory of Parquet files with the columns of the input, predicted_label,
score_LABEL for each label, and {ERROR}, which says why a row has no scores.
File names sort as the rows do. --resume continues a broken run: finished files stay,
and every row comes out exactly once. Without $RAY_ADDRESS, Ray starts on this machine
for this run.
""",
    exit_codes=(0, 1, 2, ROWS_FAILED, INTERRUPTED),
)


def batch(  # noqa: PLR0917 - typer calls it by keyword
    source: Annotated[str, typer.Argument(help="Parquet file or directory; a path or a URI.")],
    target: Annotated[str, typer.Argument(help="Directory for the output; a path or a URI.")],
    column: Annotated[str, typer.Option(help="The column that holds the text.")] = "text",
    model: Annotated[str, typer.Option(help="See `sentiment model info`.")] = MODEL,
    engine: Annotated[Engine, typer.Option(help="What runs the model.")] = ENGINE,
    actors: Annotated[
        int | None, typer.Option(min=1, help="Engines at a time; default: one for each CPU.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the finished files of the output, and go on.")
    ] = False,
) -> None:
    """Score Parquet files; `HELP` is the text of its help."""
    address = environment.prepare()
    # Ray reads the environment when it is imported.
    from serve_app.batch.job import Job, file_system, input_files  # noqa: PLC0415
    from serve_app.batch.run import run  # noqa: PLC0415
    from serve_app.batch.shards import Output  # noqa: PLC0415
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
            environment.without_native_messages(),
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
