"""Where a rising load meets the limit."""

from typing import Final, NamedTuple

import numpy as np

from loadtest.report.histogram import Counts, percentile
from loadtest.report.series import OK, Series

WINDOW_S: Final = 5
MOST_ERRORS: Final = 0.01


class Knee(NamedTuple):
    """The highest rate at which a service keeps its limit.

    Attributes:
        per_second: Requests a second, the mean of the best window; 0 if none kept the limit.
        reached: Whether the last window broke the limit, so that more load would not be answered.
    """

    per_second: float
    reached: bool


def knee(series: Series, p99_limit_ms: float) -> Knee:
    """Find the best window that keeps the limit on p99, with at most 1 % of errors."""
    width = max(1, WINDOW_S // series.step_s)
    # The last step of a run is not a whole one, and neither is a window with it.
    windows = max(1, (len(series.latency) - 1) // width)

    def by_window(counts: Counts) -> Counts:
        whole = counts[: windows * width]
        return np.add.reduceat(whole, np.arange(0, len(whole), width), axis=0)

    latency = by_window(series.latency)
    requests = by_window(series.requests)
    answered = by_window(series.statuses.get(OK, np.zeros_like(series.requests)))
    keeps = (percentile(latency, 99) < p99_limit_ms) & (answered >= (1 - MOST_ERRORS) * requests)
    best = requests[keeps].max(initial=0) / (width * series.step_s)
    active = np.flatnonzero(requests)
    return Knee(float(best), reached=bool(len(active) and not keeps[active[-1]]))
