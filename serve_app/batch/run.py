"""A job's parts on a Ray cluster."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import ray
import ray.data
from pyarrow.fs import FileSystem
from ray.exceptions import RayError

from serve_app.batch.job import Job, Part
from serve_app.batch.output import Output
from serve_app.client.request import chunks
from serve_app.errors import ModelUnusable, StartupError
from serve_app.files.local import LocalScorer
from serve_app.files.reader import ERROR, LABEL, SCORE, Outcome, Record, added_fields
from serve_app.files.run import score_chunk
from serve_app.model.store import resolve


class PartScorer:
    """Scores parts with a model of its own.

    Args:
        job: What the run is about.
        source: Where the input is.
        output: Where the parts go.

    Raises:
        ModelUnusable: The model is missing here, or is another one than the job's.
    """

    def __init__(self, job: Job, source: FileSystem, output: Output) -> None:
        digest = resolve(job.source).digest
        if digest != job.digest:
            raise ModelUnusable(
                f"{job.source} has digest {digest} on this node, the job expects {job.digest}",
                "give every node the same model",
            )
        self._job = job
        self._source = source
        self._output = output
        self._scorer = LocalScorer(job.source, job.engine, print)

    def score(self, part: Part) -> None:
        """Score a part and write it."""
        table = self._read(part)
        records = [_record(text) for text in _texts(table.column(self._job.column))]
        outcomes = [
            result.outcome
            for chunk in chunks(records, lambda each: len(each.text), self._scorer.budget)
            for result in score_chunk(self._scorer, chunk)
        ]
        self._output.write(part, with_outcomes(table, self._job.labels, outcomes))

    def _read(self, part: Part) -> pa.Table:
        with pq.ParquetFile(part.path, filesystem=self._source) as file:
            group: pa.Table = file.read_row_group(part.row_group)
            return group.slice(part.start, part.rows)


def with_outcomes(table: pa.Table, labels: tuple[str, ...], outcomes: list[Outcome]) -> pa.Table:
    """Return a table with the columns that its rows get; scores are float32.

    Args:
        table: The rows.
        labels: The model's labels.
        outcomes: An outcome for each row.
    """
    kinds = {LABEL: pa.string(), **{SCORE + each: pa.float32() for each in labels}}
    kinds[ERROR] = pa.string()
    rows = [added_fields(labels, outcome) for outcome in outcomes]
    for name, kind in kinds.items():
        table = table.append_column(name, pa.array([row[name] for row in rows], kind))
    return table


def _texts(column: pa.ChunkedArray) -> list[str | None]:
    """Return the texts of a column; bytes that are no UTF-8 become surrogate escapes."""
    encoded: list[bytes | None] = column.cast(pa.large_string()).cast(pa.large_binary()).to_pylist()
    return [None if each is None else each.decode(errors="surrogateescape") for each in encoded]


def _record(text: str | None) -> Record:
    fields: dict[str, Any] = {}
    return Record(fields, "", "the text is null") if text is None else Record(fields, text)


# A task of Ray Data is at least a block of parts; more blocks than this cost the driver memory.
MAX_BLOCKS: Final = 10_000


class PartActor:
    """What Ray Data keeps a pool of: scores a part that comes as a row of a data set.

    Args:
        job: What the run is about.
        source: Where the input is.
        output: Where the parts go.
    """

    def __init__(self, job: Job, source: FileSystem, output: Output) -> None:
        self._scorer = PartScorer(job, source, output)
        self._output = output

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Score a part, unless an attempt that Ray knows nothing of has done it."""
        part = Part(**row)
        if not self._output.has(part):
            self._scorer.score(part)
        return {"rows": part.rows}


def run(
    job: Job, source: FileSystem, output: Output, address: str | None, actors: int | None
) -> Iterator[int]:
    """Score the parts of a job that are not there yet.

    Args:
        job: What the run is about.
        source: Where the input is.
        output: Where the parts go.
        address: A cluster's; None starts one on this machine.
        actors: Most engines at a time; by default one for each CPU of the cluster.

    Yields:
        The rows of each part, in the order of their ends.

    Raises:
        StartupError: The cluster cannot be had, or a part cannot be read or written.
    """
    parts = output.missing(job)
    if not parts:
        return
    with _cluster(address) as cpus:
        try:
            yield from _score(job, parts, source, output, actors or cpus)
        except RayError as error:
            cause = getattr(error, "cause", None) or error
            raise StartupError(
                f"a part could not be scored: {str(cause).strip().splitlines()[-1]}",
                "go on with --resume when the cause is gone",
            ) from error


@contextmanager
def _cluster(address: str | None) -> Iterator[int]:
    """Connect to a cluster, or start one on this machine, and yield its CPUs."""
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        ray.init(
            address=address or "local",
            logging_level=logging.WARNING,
            log_to_driver=False,
            include_dashboard=None if address else False,
        )
    except Exception as error:
        # Ray raises a plain Exception where its processes do not come up in time.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if address:
            raise StartupError(
                f"no Ray cluster at {address}: {reason}",
                "correct RAY_ADDRESS, or unset it to score on this machine",
            ) from error
        raise StartupError(
            f"Ray did not start: {reason}", "try again with --resume when the machine is less busy"
        ) from error
    try:
        yield int(ray.cluster_resources().get("CPU", 1))
    finally:
        ray.shutdown()


def _score(
    job: Job, parts: list[Part], source: FileSystem, output: Output, actors: int
) -> Iterator[int]:
    """Score parts on a pool of actors, each with a CPU of its own.

    An actor or a node that dies is replaced, and its part scored again.
    """
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    rows = [part._asdict() for part in parts]
    done = ray.data.from_items(rows, override_num_blocks=min(len(rows), MAX_BLOCKS)).map(
        PartActor,  # type: ignore[arg-type]  # Ray's annotation leaves classes out
        fn_constructor_args=(job, source, output),
        compute=ray.data.ActorPoolStrategy(size=min(actors, len(rows))),
        num_cpus=1,
    )
    for row in done.iter_rows():
        yield row["rows"]
