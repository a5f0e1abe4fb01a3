"""Live figures of the whole service, made of those that its gateways keep."""

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from pydantic import BaseModel

from serve_app.api.request_record import RequestRecord

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

    def __call__(self, report: RequestRecord) -> None:
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


LIFETIME_S: Final = 1.0
"""How long figures are kept, so that many open pages ask the gateways as often as one."""

Ask = Callable[[], Awaitable[Sequence[RecentFigures]]]


class Replicas(BaseModel):
    """Replicas that run."""

    gateway: int
    classifier: int


class LiveFigures(BaseModel):
    """The service's last `window_s` seconds; None where there was no request to tell from."""

    window_s: int = WINDOW_S
    requests_per_s: float
    texts_per_s: float
    refused_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    hit_ratio: float | None
    replicas: Replicas


def merged(gateways: Sequence[RecentFigures]) -> LiveFigures:
    """Return the figures of the service.

    Args:
        gateways: Those of each of its gateways, at least one.
    """
    texts = sum(each.texts for each in gateways)
    times = sum((each.times for each in gateways), Counter[int]())
    return LiveFigures(
        requests_per_s=sum(each.answered for each in gateways) / WINDOW_S,
        texts_per_s=texts / WINDOW_S,
        refused_per_s=sum(each.refused for each in gateways) / WINDOW_S,
        p50_ms=quantile_ms(times, 0.5),
        p99_ms=quantile_ms(times, 0.99),
        hit_ratio=sum(each.hits for each in gateways) / texts if texts else None,
        replicas=Replicas(
            gateway=len(gateways), classifier=max(each.classifiers for each in gateways)
        ),
    )


def quantile_ms(times: Counter[int], q: float) -> float | None:
    """Return the time in milliseconds that a share `q` of the requests did not exceed."""
    rank = math.ceil(q * times.total())
    for index in sorted(times):
        rank -= times[index]
        if rank <= 0:
            return round(middle(index) * 1000, 3)
    return None


class Live:
    """Asks the gateways, at most once in `LIFETIME_S` however many ask here.

    Args:
        ask: Returns the figures of every gateway that answers.
        clock: Seconds that never go back.
    """

    def __init__(self, ask: Ask, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._asking = asyncio.Lock()
        self._figures: LiveFigures | None = None
        self._asked_at = -math.inf

    async def figures(self) -> LiveFigures | None:
        """Return the service's figures, None if no gateway tells any."""
        async with self._asking:
            if self._clock() - self._asked_at >= LIFETIME_S:
                gateways = await self._ask()
                self._figures = merged(gateways) if gateways else None
                self._asked_at = self._clock()
            return self._figures
