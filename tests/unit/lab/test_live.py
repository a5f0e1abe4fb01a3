import asyncio
from collections import Counter

import pytest

from serve_app.lab.live import (
    LIFETIME_S,
    WINDOW_S,
    Live,
    RecentFigures,
    bucket,
    merged,
    quantile_ms,
)


def gateway(answered: int, hits: int = 0, classifiers: int = 1) -> RecentFigures:
    times = Counter({bucket(0.01): answered})
    return RecentFigures(answered, 0, answered * 2, hits, times, classifiers)


def test_figures_of_all_gateways_are_one() -> None:
    found = merged([gateway(30, hits=15, classifiers=4), gateway(10, hits=5, classifiers=3)])
    assert found.requests_per_s == 40 / WINDOW_S
    assert found.texts_per_s == 80 / WINDOW_S
    assert found.hit_ratio == 0.25
    assert found.p50_ms == pytest.approx(10, rel=0.05)
    assert (found.replicas.gateway, found.replicas.classifier) == (2, 4)


def test_without_requests_there_is_no_time_and_no_ratio() -> None:
    found = merged([gateway(0)])
    assert (found.requests_per_s, found.p50_ms, found.p99_ms, found.hit_ratio) == (
        0,
        None,
        None,
        None,
    )


def test_quantiles_are_those_of_the_requests() -> None:
    times = Counter({bucket(0.01): 98, bucket(1.0): 2})
    assert quantile_ms(times, 0.5) == pytest.approx(10, rel=0.05)
    assert quantile_ms(times, 0.98) == pytest.approx(10, rel=0.05)
    assert quantile_ms(times, 0.99) == pytest.approx(1000, rel=0.05)


async def test_many_pages_cost_the_gateways_as_much_as_one() -> None:
    asked, now = [], 0.0

    async def ask() -> list[RecentFigures]:
        asked.append(now)
        await asyncio.sleep(0)
        return [gateway(1)]

    live = Live(ask, lambda: now)
    await asyncio.gather(*(live.figures() for _ in range(10)))
    assert len(asked) == 1
    now += LIFETIME_S
    await live.figures()
    assert len(asked) == 2


async def test_gateways_that_tell_nothing_are_not_taken_for_idle_ones() -> None:
    async def ask() -> list[RecentFigures]:
        return []

    assert await Live(ask).figures() is None
