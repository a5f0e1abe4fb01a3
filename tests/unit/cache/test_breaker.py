import pytest

from serve_app.cache.redis import COOLDOWN_S, FAILURES_TO_OPEN, CircuitBreaker
from tests.unit.clock import ManualClock


@pytest.fixture
def breaker(clock: ManualClock) -> CircuitBreaker:
    return CircuitBreaker(clock)


@pytest.fixture
def opened(breaker: CircuitBreaker) -> CircuitBreaker:
    for _ in range(FAILURES_TO_OPEN):
        breaker.failure()
    return breaker


def test_it_starts_closed(breaker: CircuitBreaker) -> None:
    assert breaker.state == "closed"
    assert breaker.allow()


def test_only_consecutive_failures_open_it(breaker: CircuitBreaker) -> None:
    for _ in range(3):
        for _ in range(FAILURES_TO_OPEN - 1):
            breaker.failure()
        assert breaker.state == "closed"
        breaker.success()
    for _ in range(FAILURES_TO_OPEN):
        breaker.failure()
    assert breaker.state == "open"


def test_open_it_refuses_until_the_cooldown_is_over(
    opened: CircuitBreaker, clock: ManualClock
) -> None:
    assert not opened.allow()
    clock.now += COOLDOWN_S * 0.9
    assert not opened.allow()
    clock.now += COOLDOWN_S * 0.1
    assert opened.allow()


def test_half_open_it_lets_one_probe_pass(opened: CircuitBreaker, clock: ManualClock) -> None:
    clock.now += COOLDOWN_S
    assert [opened.allow() for _ in range(3)] == [True, False, False]
    assert opened.state == "half-open"


def test_a_successful_probe_closes_it(opened: CircuitBreaker, clock: ManualClock) -> None:
    clock.now += COOLDOWN_S
    opened.allow()
    opened.success()
    assert opened.state == "closed"
    assert [opened.allow() for _ in range(3)] == [True, True, True]


def test_a_failed_probe_costs_another_cooldown(opened: CircuitBreaker, clock: ManualClock) -> None:
    clock.now += COOLDOWN_S
    opened.allow()
    clock.now += COOLDOWN_S / 2
    opened.failure()
    assert opened.state == "open"
    clock.now += COOLDOWN_S / 2
    assert not opened.allow()
    clock.now += COOLDOWN_S / 2
    assert opened.allow()


def test_a_probe_without_an_outcome_does_not_block_the_next(
    opened: CircuitBreaker, clock: ManualClock
) -> None:
    clock.now += COOLDOWN_S
    assert opened.allow()
    clock.now += COOLDOWN_S
    assert opened.allow()
