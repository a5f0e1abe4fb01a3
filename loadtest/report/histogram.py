"""Latency in buckets, so that memory depends neither on the rate nor on the length of a run."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Milliseconds = NDArray[np.float64]

LOWEST_MS: Final = 0.1
HIGHEST_MS: Final = 120_000.0
GROWTH: Final = 1.01
"""Each bucket is this much wider than the last, which bounds the relative error to 0.5 %."""
BUCKETS: Final = math.ceil(math.log(HIGHEST_MS / LOWEST_MS, GROWTH)) + 1

_LOG_GROWTH: Final = math.log(GROWTH)
_MIDDLES: Final = LOWEST_MS * GROWTH ** (np.arange(BUCKETS) - 0.5)


def bucket(milliseconds: float) -> int:
    """Return the bucket of a latency; what lies outside the range falls into the outermost."""
    if milliseconds <= LOWEST_MS:
        return 0
    return min(math.ceil(math.log(milliseconds / LOWEST_MS) / _LOG_GROWTH), BUCKETS - 1)


def percentile(counts: Counts, percent: float) -> Milliseconds:
    """Return a percentile by the nearest-rank definition.

    Args:
        counts: Latencies in each bucket, shape (…, BUCKETS).
        percent: Which percentile, above 0 and at most 100.

    Returns:
        Shape (…): the geometric middle of the bucket that holds it; NaN where nothing was counted.
    """
    cumulative = counts.cumsum(axis=-1)
    total = cumulative[..., -1:]
    rank = np.ceil(total * percent / 100)
    found = _MIDDLES[np.argmax(cumulative >= rank, axis=-1)]
    return np.where(total[..., 0] > 0, found, np.nan)
