"""A job's shards on a Ray cluster."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import ray
import ray.data
from pyarrow.fs import FileSystem
from ray.exceptions import RayError

from serve_app.batch.job import Job
from serve_app.batch.shards import Output, ShardScorer
from serve_app.errors import StartupError

# A task of Ray Data is at least one block of shards; more blocks cost the driver memory.
MAX_BLOCKS: Final = 10_000


def run(
    job: Job, source: FileSystem, output: Output, address: str | None, actors: int | None
) -> Iterator[int]:
    """Score the shards of a job that have not been written, and yield the rows of each.

    Args:
        job: The job.
        source: The file system of its input.
        output: The directory of its shards.
        address: Address of a cluster; None starts one on this machine.
        actors: Maximum number of engines; by default one for each CPU of the cluster.

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
            fn_constructor_args=(job, source, output),
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
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        problem, hint = "Ray did not start", "try again with --resume when the machine is less busy"
        if address:
            problem = f"no Ray cluster at {address}"
            hint = "correct RAY_ADDRESS, or unset it to score on this machine"
        raise StartupError(f"{problem}: {reason}", hint) from error
    try:
        yield int(ray.cluster_resources().get("CPU", 1))
    finally:
        ray.shutdown()
