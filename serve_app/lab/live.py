"""Live figures of the service, summed over its gateways."""

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from serve_app.api.request_record import RequestRecord

WINDOW_S: Final = 10
"""Full seconds that the figures cover."""

LIFETIME_S: Final = 1.0
"""How long figures are kept, so that many open pages ask the gateways as often as one."""

_MIN_TIME_S: Final = 1e-4
_BUCKETS_PER_OCTAVE: Final = 8


def bucket(seconds: float) -> int:
    """Return the bucket of a time; bounds grow by 2^(1/8)."""
    octaves = math.log2(max(seconds, _MIN_TIME_S) / _MIN_TIME_S)
    return math.floor(_BUCKETS_PER_OCTAVE * octaves)


def middle(index: int) -> float:
    """Return the geometric middle of a bucket in seconds, at most 4.5 % off any time in it."""
    middle_s: float = _MIN_TIME_S * 2 ** ((index + 0.5) / _BUCKETS_PER_OCTAVE)
    return middle_s


@dataclass
class RecentFigures:
    """Counts of recent requests.

    Attributes:
        answered: Requests answered with predictions.
        refused: Other requests, except those whose clients left.
        texts: Texts of the answers.
        hits: Texts of the answers that came from the cache.
        times: Number of answers by the `bucket` of their time.
        classifiers: Replicas of the classifier that a gateway knows.
    """

    answered: int = 0
    refused: int = 0
    texts: int = 0
    hits: int = 0
    times: Counter[int] = field(default_factory=Counter)
    classifiers: int = 0


def total(figures: Iterable[RecentFigures]) -> RecentFigures:
    """Return the sum of figures; gateways know the same classifiers, some of them earlier."""
    result = RecentFigures()
    for each in figures:
        result.answered += each.answered
        result.refused += each.refused
        result.texts += each.texts
        result.hits += each.hits
        result.times += each.times
        result.classifiers = max(result.classifiers, each.classifiers)
    return result


class RecentRequests:
    """An observer of requests that counts those of the last `WINDOW_S` full seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # The window and the current second.
        self._seconds: deque[tuple[int, RecentFigures]] = deque(maxlen=WINDOW_S + 1)

    def __call__(self, record: RequestRecord) -> None:
        """Count a request that has ended."""
        now = int(self._clock())
        if not self._seconds or self._seconds[-1][0] != now:
            self._seconds.append((now, RecentFigures()))
        _, second = self._seconds[-1]
        if record.outcome == "ok":
            second.answered += 1
            second.texts += record.hits + record.misses
            second.hits += record.hits
            second.times[bucket(record.seconds)] += 1
        elif record.outcome != "disconnected":
            second.refused += 1

    def figures(self, classifiers: int) -> RecentFigures:
        """Return the sum of the window, with the number of classifier replicas."""
        now = int(self._clock())
        window = total(second for at, second in self._seconds if now - WINDOW_S <= at < now)
        window.classifiers = classifiers
        return window


def merged(gateways: Sequence[RecentFigures]) -> dict[str, Any]:
    """Return the figures of the service as JSON; None for a figure that needs requests."""
    service = total(gateways)
    return {
        "window_s": WINDOW_S,
        "requests_per_s": service.answered / WINDOW_S,
        "texts_per_s": service.texts / WINDOW_S,
        "refused_per_s": service.refused / WINDOW_S,
        "p50_ms": quantile_ms(service.times, 0.5),
        "p99_ms": quantile_ms(service.times, 0.99),
        "hit_ratio": service.hits / service.texts if service.texts else None,
        "replicas": {"gateway": len(gateways), "classifier": service.classifiers},
    }


def quantile_ms(times: Counter[int], q: float) -> float | None:
    """Return the time in milliseconds that a share `q` of the requests did not exceed."""
    rank = math.ceil(q * times.total())
    for index in sorted(times):
        rank -= times[index]
        if rank <= 0:
            return round(middle(index) * 1000, 3)
    return None


class FiguresCache:
    """A cache of the service's figures, which asks the gateways at most once in `LIFETIME_S`.

    Args:
        ask: Returns the figures of each gateway that answers.
        clock: Returns monotonic seconds.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[Sequence[RecentFigures]]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._asking = asyncio.Lock()
        self._figures: dict[str, Any] | None = None
        self._asked_at = -math.inf

    async def figures(self) -> dict[str, Any] | None:
        """Return the service's figures; None if no gateway answers."""
        async with self._asking:
            if self._clock() - self._asked_at >= LIFETIME_S:
                gateways = await self._ask()
                self._figures = merged(gateways) if gateways else None
                self._asked_at = self._clock()
            return self._figures
