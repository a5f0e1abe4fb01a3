import asyncio
from collections import Counter

import pytest

from serve_app.api.request_record import (
    WINDOW_S,
    RecentFigures,
    RecentRequests,
    RequestRecord,
    bucket,
    middle,
)
from serve_app.ray_serve.lab import LIFETIME_S, FiguresCache, merged, quantile_ms
from tests.unit.clock import ManualClock


def record(
    outcome: str = "ok", hits: int = 0, misses: int = 0, seconds: float = 0.02
) -> RequestRecord:
    return RequestRecord(
        ended=0.0,
        request_id="r",
        path="/project/predict",
        status=200,
        outcome=outcome,
        texts=hits + misses,
        hits=hits,
        misses=misses,
        truncated=0,
        times=None,
        seconds=seconds,
    )


@pytest.fixture
def recent(clock: ManualClock) -> RecentRequests:
    return RecentRequests(clock)


def test_the_full_seconds_of_the_window_are_summed(
    recent: RecentRequests, clock: ManualClock
) -> None:
    recent(record(hits=1, misses=2))
    clock.now += 3
    recent(record(hits=4))
    recent(record("overloaded", misses=9))
    recent(record("disconnected", misses=9))
    clock.now += 1
    found = recent.figures(classifiers=5)
    assert (found.times.total(), found.refused, found.texts, found.hits) == (2, 1, 7, 5)
    assert found.times == {bucket(0.02): 2}
    assert found.classifiers == 5


def test_the_current_second_is_not_counted_yet(recent: RecentRequests, clock: ManualClock) -> None:
    recent(record())
    assert recent.figures(1).times.total() == 0
    clock.now += 1
    assert recent.figures(1).times.total() == 1


def test_older_seconds_are_not_counted(recent: RecentRequests, clock: ManualClock) -> None:
    recent(record())
    clock.now += WINDOW_S
    assert recent.figures(1).times.total() == 1
    clock.now += 1
    assert recent.figures(1).times.total() == 0


def test_a_long_run_is_counted_by_its_window(recent: RecentRequests, clock: ManualClock) -> None:
    for _ in range(5 * WINDOW_S):
        recent(record())
        clock.now += 1
    assert recent.figures(1).times.total() == WINDOW_S


@pytest.mark.parametrize("seconds", [1e-4, 0.00123, 0.02, 0.5, 29.9])
def test_a_bucket_is_within_five_percent_of_its_times(seconds: float) -> None:
    assert middle(bucket(seconds)) == pytest.approx(seconds, rel=0.046)


def test_the_shortest_times_share_the_first_bucket() -> None:
    assert bucket(0.0) == bucket(1e-9) == 0


def gateway(answered: int, hits: int = 0, classifiers: int = 1) -> RecentFigures:
    times = Counter({bucket(0.01): answered})
    return RecentFigures(0, answered * 2, hits, times, classifiers)


def test_the_figures_of_gateways_are_summed() -> None:
    found = merged([gateway(30, hits=15, classifiers=4), gateway(10, hits=5, classifiers=3)])
    assert found["requests_per_s"] == 40 / WINDOW_S
    assert found["texts_per_s"] == 80 / WINDOW_S
    assert found["hit_ratio"] == 0.25
    assert found["p50_ms"] == pytest.approx(10, rel=0.05)
    assert found["replicas"] == {"gateway": 2, "classifier": 4}


def test_times_and_ratio_are_none_without_requests() -> None:
    found = merged([gateway(0)])
    assert (found["requests_per_s"], found["p50_ms"], found["p99_ms"], found["hit_ratio"]) == (
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


async def test_the_gateways_are_asked_once_for_many_pages() -> None:
    asked, now = [], 0.0

    async def ask() -> list[RecentFigures]:
        asked.append(now)
        await asyncio.sleep(0)
        return [gateway(1)]

    live = FiguresCache(ask, lambda: now)
    await asyncio.gather(*(live.figures() for _ in range(10)))
    assert len(asked) == 1
    now += LIFETIME_S
    await live.figures()
    assert len(asked) == 2


async def test_there_are_no_figures_if_no_gateway_answers() -> None:
    async def ask() -> list[RecentFigures]:
        return []

    assert await FiguresCache(ask).figures() is None
