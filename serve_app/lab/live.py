"""Live figures of the service, summed over its gateways."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from serve_app.api.request_record import WINDOW_S, RecentFigures, middle, total

LIFETIME_S: Final = 1.0
"""How long figures are kept, so that many open pages ask the gateways as often as one."""


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
