"""A run as a report sees it."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loadtest.observer import LOAD_GENERATOR
from loadtest.report.series import Series, read_series
from loadtest.results import SAMPLES, RunUnreadable, Summary, Usage, read_summary, read_usage


class Run(NamedTuple):
    """A run: how it ended, what k6 measured, and what was observed of the service.

    Attributes:
        name: Name of its directory.
        summary: Totals.
        series: What k6 measured, over time.
        usage: What was observed, in order of time; empty where nobody observed.
    """

    name: str
    summary: Summary
    series: Series
    usage: list[Usage]

    @property
    def observed(self) -> NDArray[np.float64]:
        """When the service was observed, in seconds since the start of the run."""
        return np.array([usage.time_s for usage in self.usage]) - self.summary.started_s

    @property
    def roles(self) -> list[str]:
        """Parts of the service whose processes were observed, the largest user of memory first."""
        names = {name for usage in self.usage for name in usage.roles} - {LOAD_GENERATOR}
        return sorted(names, key=lambda name: -self.memory_mib(name).max())

    def replicas(self, role: str) -> NDArray[np.float64]:
        """Return the number of processes of a role at each observation."""
        return np.array(
            [float(u.roles[role].processes) if role in u.roles else 0.0 for u in self.usage]
        )

    def memory_mib(self, role: str) -> NDArray[np.float64]:
        """Return the resident memory of a role at each observation."""
        return np.array(
            [u.roles[role].rss_bytes / 2**20 if role in u.roles else 0.0 for u in self.usage]
        )

    def cores(self, role: str) -> NDArray[np.float64]:
        """Return the processor time per time of a role at each observation."""
        return np.array([u.roles[role].cores if role in u.roles else 0.0 for u in self.usage])


def read_run(directory: Path) -> Run:
    """Read a run.

    Raises:
        RunUnreadable: A file is missing, cut off or of another form, or no request was answered.
    """
    summary = read_summary(directory)
    if not summary.requests.count:
        raise RunUnreadable(
            f"{directory} is a run without a request", "it was ended too early: run it again"
        )
    series = read_series(directory, summary.started_s, summary.duration_s)
    if not series.requests.sum():
        raise RunUnreadable(f"{directory / SAMPLES} holds no request", "run the scenario again")
    return Run(directory.resolve().name, summary, series, read_usage(directory))
