"""A job's parts on a Ray cluster."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import ray
import ray.data
from pyarrow.fs import FileSystem
from ray.exceptions import RayError

from serve_app.batch.job import Job, Part
from serve_app.batch.output import Output
from serve_app.batch.part import PartScorer
from serve_app.errors import StartupError

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
