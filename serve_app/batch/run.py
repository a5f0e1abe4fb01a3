"""A run: scores the shards of a job on a Ray cluster, and writes them to a directory."""

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import ray
import ray.data
from pyarrow.fs import FileSelector, FileSystem, FileType
from ray.exceptions import RayError

from serve_app.batch.job import Job, Shard
from serve_app.client.request import portions
from serve_app.console import first_line
from serve_app.errors import ModelUnusable, StartupError
from serve_app.files.local import LocalScorer
from serve_app.files.reader import Row
from serve_app.files.scorers import score_rows
from serve_app.files.writer import ERROR, LABEL, added_columns, added_fields
from serve_app.model.store import resolve

# Readers of Parquet directories skip names that begin with an underscore or a dot.
_JOB: Final = "_job.json"
_UNFINISHED: Final = ".unfinished-"

# A task of Ray Data is at least one block of shards; more blocks cost the driver memory.
MAX_BLOCKS: Final = 10_000


class Output(NamedTuple):
    """The directory of a job's shards, a path in a file system."""

    filesystem: FileSystem
    directory: str

    def begin(self, job: Job, *, resume: bool) -> None:
        """Prepare the directory for a job, new or to be resumed.

        Raises:
            StartupError: It holds the output of another job, or is not to be resumed.
        """
        names = self._names()
        if not names:
            self.filesystem.create_dir(self.directory, recursive=True)
            with self.filesystem.open_output_stream(self._path(_JOB)) as stream:
                stream.write(job.document())
            return
        if not resume:
            raise StartupError(
                f"{self.directory} is not empty",
                "continue with --resume, or give another directory",
            )
        if _JOB not in names or not self._belongs_to(job):
            raise StartupError(
                f"{self.directory} holds the output of another run",
                "resume with the input, column, model and engine of the first run",
            )
        for name in names:
            if name.startswith(_UNFINISHED):
                self.filesystem.delete_file(self._path(name))

    def missing(self, job: Job) -> list[Shard]:
        """Return the shards of a job that have not been written."""
        names = self._names()
        return [shard for shard in job.shards() if shard.name not in names]

    def has(self, shard: Shard) -> bool:
        """Return whether a shard has been written."""
        return self.filesystem.get_file_info(self._path(shard.name)).type is not FileType.NotFound

    def write(self, shard: Shard, table: pa.Table) -> None:
        """Write a shard, as a whole or not at all."""
        unfinished = self._path(f"{_UNFINISHED}{uuid.uuid4().hex}")
        pq.write_table(table, unfinished, filesystem=self.filesystem)
        self.filesystem.move(unfinished, self._path(shard.name))

    def verify(self, job: Job) -> int:
        """Check that every row of a job has been written once, and count those without scores.

        Raises:
            StartupError: A shard is missing, or has another number of rows.
        """
        return sum(self._failed(shard) for shard in job.shards())

    def _failed(self, shard: Shard) -> int:
        path = self._path(shard.name)
        with pq.ParquetFile(path, filesystem=self.filesystem) as file:
            rows: int = file.metadata.num_rows
            if rows != shard.rows:
                raise StartupError(
                    f"{path} has {rows} rows instead of {shard.rows}",
                    "remove it and go on with --resume",
                )
            return rows - int(file.read([ERROR])[ERROR].null_count)

    def _belongs_to(self, job: Job) -> bool:
        with self.filesystem.open_input_stream(self._path(_JOB)) as stream:
            return bool(stream.read() == job.document())

    def _names(self) -> set[str]:
        selector = FileSelector(self.directory, allow_not_found=True)
        return {info.base_name for info in self.filesystem.get_file_info(selector)}

    def _path(self, name: str) -> str:
        return f"{self.directory}/{name}"


class ShardScorer:
    """A model that scores shards of a job, from a file system to an output.

    Raises:
        ModelUnusable: The model is missing on this node, or differs from the job's.
    """

    def __init__(self, job: Job, filesystem: FileSystem, output: Output) -> None:
        digest = resolve(job.model).digest
        if digest != job.digest:
            raise ModelUnusable(
                f"{job.model} has digest {digest} on this node, the job expects {job.digest}",
                "give every node the same model",
            )
        self._job = job
        self._filesystem = filesystem
        self._output = output
        self._partitions = {file.path: file.partition for file in job.files}
        self._scorer = LocalScorer(job.model, job.engine, print)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Score a shard, unless it has been written, and write it; Ray Data calls it with a row."""
        shard = Shard(**row)
        # An attempt that Ray has lost track of may have written it.
        if not self._output.has(shard):
            self._output.write(shard, self._scored(shard))
        return {"rows": shard.rows}

    def _scored(self, shard: Shard) -> pa.Table:
        with pq.ParquetFile(shard.path, filesystem=self._filesystem) as file:
            table = file.read_row_group(shard.row_group).slice(shard.start, shard.rows)
        for name, value, kind in self._partitions[shard.path]:
            table = table.append_column(name, pa.repeat(pa.scalar(value, kind), shard.rows))
        texts = table.column(self._job.column)
        added = [
            added_fields(self._job.labels, scored.outcome)
            for rows in portions(_rows(texts), lambda row: len(row.text), self._scorer.budget)
            for scored in score_rows(self._scorer, rows)
        ]
        for name in added_columns(self._job.labels):
            kind = pa.string() if name in {LABEL, ERROR} else pa.float32()
            table = table.append_column(name, pa.array([fields[name] for fields in added], kind))
        return table


def _rows(column: pa.ChunkedArray) -> Iterator[Row]:
    """Yield the texts of a column; bytes that are not UTF-8 become surrogate escapes."""
    for text in column.cast(pa.large_string()).cast(pa.large_binary()).to_pylist():
        if text is None:
            yield Row({}, "", "the text is null")
        else:
            yield Row({}, text.decode(errors="surrogateescape"))


def run(
    job: Job, filesystem: FileSystem, output: Output, address: str | None, actors: int | None
) -> Iterator[int]:
    """Score the shards of a job that have not been written, and yield the rows of each.

    An address of None starts a cluster on this machine. There are at most `actors` engines, by
    default one for each CPU of the cluster.

    Raises:
        StartupError: The cluster is not available, or a shard cannot be read or written.
    """
    shards = [shard._asdict() for shard in output.missing(job)]
    if not shards:
        return
    with _cluster(address) as cpus:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        # Ray Data replaces an actor or a node that dies, and repeats its shard.
        written = ray.data.from_items(shards, override_num_blocks=min(len(shards), MAX_BLOCKS)).map(
            ShardScorer,  # type: ignore[arg-type]  # Ray's annotation leaves classes out
            fn_constructor_args=(job, filesystem, output),
            compute=ray.data.ActorPoolStrategy(size=min(actors or cpus, len(shards))),
            num_cpus=1,
        )
        try:
            for row in written.iter_rows():
                yield row["rows"]
        except RayError as error:
            cause = getattr(error, "cause", None) or error
            raise StartupError(
                f"a shard could not be scored: {str(cause).strip().splitlines()[-1]}",
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
        # Ray raises a plain Exception if its processes do not start in time.
        problem, hint = "Ray did not start", "try again with --resume when the machine is less busy"
        if address:
            problem = f"no Ray cluster at {address}"
            hint = "correct RAY_ADDRESS, or unset it to score on this machine"
        raise StartupError(f"{problem}: {first_line(error)}", hint) from error
    try:
        yield int(ray.cluster_resources().get("CPU", 1))
    finally:
        ray.shutdown()
