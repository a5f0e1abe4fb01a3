"""Live figures of the whole service, made of those that its gateways keep."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from pydantic import BaseModel

from serve_app.api.recent import WINDOW_S, RecentFigures, middle

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
