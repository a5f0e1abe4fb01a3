"""What k6 measured, over time."""

import csv
import gzip
import math
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loadtest.report.histogram import BUCKETS, Counts, Milliseconds, bucket, percentile
from loadtest.results import SAMPLES, RunUnreadable

MAX_STEPS: Final = 240
"""More would show noise. Runs of up to 4 min are shown second by second."""
OK: Final = "200"

_REQUEST: Final = "predict"
_DURATION: Final = "http_req_duration"
_COUNTERS: Final = ("cache_hits", "cache_misses", "dropped_iterations")
_COLUMNS: Final = ("metric_name", "timestamp", "metric_value", "name", "status")


class Series(NamedTuple):
    """A run in steps of equal length.

    Attributes:
        step_s: Length of a step.
        latency: Requests answered with 200 by step and bucket of latency, shape (steps, BUCKETS).
        statuses: Requests by status, "0" for no answer, each of shape (steps,).
        hits: Texts answered from the cache, shape (steps,).
        misses: Texts answered by the model, shape (steps,).
        dropped: Requests that could not be sent in time, shape (steps,).
    """

    step_s: int
    latency: Counts
    statuses: dict[str, Counts]
    hits: Counts
    misses: Counts
    dropped: Counts

    @property
    def seconds(self) -> NDArray[np.floating]:
        """Middle of each step, since the start of the run."""
        return (np.arange(len(self.latency)) + 0.5) * self.step_s

    @property
    def requests(self) -> Counts:
        """Requests of each step, by the time of their answer."""
        return sum(self.statuses.values(), np.zeros(len(self.latency), np.int64))

    @property
    def errors(self) -> dict[str, Counts]:
        """Requests by status other than 200."""
        return {status: counts for status, counts in self.statuses.items() if status != OK}

    def percentile(self, percent: float) -> Milliseconds:
        """Return a percentile of the answers' latency for each step; NaN where there are none."""
        return percentile(self.latency, percent)


def read_series(directory: Path, started_s: float, duration_s: float) -> Series:
    """Read what k6 measured, in one pass and bounded memory.

    Args:
        directory: Directory of the run.
        started_s: When the run began, since the epoch.
        duration_s: How long it took.

    Raises:
        RunUnreadable: The file is missing, cut off, of another form, or of another run.
    """
    path = directory / SAMPLES
    first_s = math.floor(started_s)
    # Samples carry whole seconds, and the last ones may be stamped while the summary is written.
    step_s = math.ceil((duration_s + 2) / MAX_STEPS)
    steps = math.ceil((duration_s + 2) / step_s)
    latency = np.zeros((steps, BUCKETS), np.int64)
    statuses: defaultdict[str, Counts] = defaultdict(lambda: np.zeros(steps, np.int64))
    counters = {name: np.zeros(steps, np.int64) for name in _COUNTERS}
    for metric, second, value, status in _samples(path):
        step = (second - first_s) // step_s
        if not 0 <= step < steps:
            raise RunUnreadable(
                f"{path} holds samples of another time than the run took",
                "the files of a directory belong to one run: run the scenario again",
            )
        if metric == _DURATION:
            statuses[status][step] += 1
            if status == OK:
                latency[step, bucket(value)] += 1
        else:
            counters[metric][step] += int(value)
    hits, misses, dropped = counters.values()
    return Series(step_s, latency, dict(statuses), hits, misses, dropped)


def _samples(path: Path) -> Iterator[tuple[str, int, float, str]]:
    wanted = (f"{_DURATION},", *(f"{name}," for name in _COUNTERS))
    try:
        with gzip.open(path, "rt", newline="") as file:
            columns = next(csv.reader(file), [])
            places = [columns.index(name) for name in _COLUMNS]
            # Most lines are of other metrics; leaving them out first is several times faster.
            for row in csv.reader(line for line in file if line.startswith(wanted)):
                metric, second, value, name, status = (row[place] for place in places)
                if metric != _DURATION or name == _REQUEST:
                    yield metric, int(second), float(value), status
    except EOFError:
        raise _unreadable(path, "is cut off") from None
    except OSError as error:
        raise _unreadable(path, f"cannot be read: {error.strerror or error}") from None
    except (zlib.error, csv.Error, ValueError, IndexError) as error:
        raise _unreadable(path, f"is not the CSV that k6 writes: {error}") from None


def _unreadable(path: Path, problem: str) -> RunUnreadable:
    return RunUnreadable(f"{path} {problem}", "run the scenario again, and let it end")
