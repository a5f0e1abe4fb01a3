"""What a gateway has done in the last seconds, for the lab's live figures."""

import math
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Final, NamedTuple

from serve_app.api.report import Report

WINDOW_S: Final = 10
"""Full seconds that figures tell of."""

_LEAST_S: Final = 1e-4
_BUCKETS_PER_OCTAVE: Final = 8


class RecentFigures(NamedTuple):
    """A gateway's last `WINDOW_S` full seconds.

    Attributes:
        answered: Requests answered with predictions.
        refused: The other ones, whose clients left not included.
        texts: Texts of the answers.
        hits: Those of them that came from the cache.
        times: How many answers took a time, by `bucket`.
        classifiers: Replicas of the classifier that it knows of.
    """

    answered: int
    refused: int
    texts: int
    hits: int
    times: Counter[int]
    classifiers: int


def bucket(seconds: float) -> int:
    """Return the bucket of a time; bounds grow by 2^(1/8)."""
    return max(0, math.floor(_BUCKETS_PER_OCTAVE * math.log2(max(seconds, _LEAST_S) / _LEAST_S)))


def middle(index: int) -> float:
    """Return the geometric middle of a bucket in seconds, at most 4.5 % off any time in it."""
    middle_s: float = _LEAST_S * 2 ** ((index + 0.5) / _BUCKETS_PER_OCTAVE)
    return middle_s


class _Second:
    __slots__ = ("answered", "at", "hits", "refused", "texts", "times")

    def __init__(self, at: int) -> None:
        self.at = at
        self.answered = self.refused = self.texts = self.hits = 0
        self.times: Counter[int] = Counter()


class RecentRequests:
    """Observes requests and forgets them after `WINDOW_S`.

    Args:
        clock: Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # The window, and the second under way.
        self._seconds: deque[_Second] = deque(maxlen=WINDOW_S + 1)

    def __call__(self, report: Report) -> None:
        """Count one request that is over."""
        now = int(self._clock())
        if not self._seconds or self._seconds[-1].at != now:
            self._seconds.append(_Second(now))
        second = self._seconds[-1]
        if report.outcome == "ok":
            second.answered += 1
            second.texts += report.hits + report.misses
            second.hits += report.hits
            second.times[bucket(report.seconds)] += 1
        elif report.outcome != "disconnected":
            second.refused += 1

    def figures(self, classifiers: int) -> RecentFigures:
        """Return what the last `WINDOW_S` full seconds add up to.

        Args:
            classifiers: Replicas of the classifier, to be passed on.
        """
        now = int(self._clock())
        window = [second for second in self._seconds if now - WINDOW_S <= second.at < now]
        return RecentFigures(
            answered=sum(second.answered for second in window),
            refused=sum(second.refused for second in window),
            texts=sum(second.texts for second in window),
            hits=sum(second.hits for second in window),
            times=sum((second.times for second in window), Counter()),
            classifiers=classifiers,
        )
