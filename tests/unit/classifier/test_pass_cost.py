import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.classifier.throughput import FIRST_PASSES, PassCost

FULL = 1024


def seconds(tokens: int, fixed: float = 0.02, per_token: float = 1e-4) -> float:
    return fixed + per_token * tokens


def warm() -> PassCost:
    """Return the cost of a replica whose first passes have taken far too long."""
    cost = PassCost()
    for _ in range(FIRST_PASSES):
        cost.record(100, 10.0, full=False)
    return cost


def measured(*tokens: int, noise: float = 0.0, full: bool = False) -> float:
    cost = warm()
    for index, count in enumerate(tokens):
        cost.record(count, seconds(count) * (1 + noise * (-1) ** index), full=full)
    rate = cost.rate(FULL)
    assert rate is not None
    return rate


def test_small_passes_tell_the_rate_of_full_ones() -> None:
    assert measured(10, 20, 30, 40) == pytest.approx(FULL / seconds(FULL))


def test_passes_of_one_size_tell_their_own_rate() -> None:
    assert measured(100, 100, 100) == pytest.approx(100 / seconds(100))


def test_noise_moves_the_rate_little() -> None:
    passes = [100, 900, 300, 700, 500, 1000] * 5
    assert measured(*passes, noise=0.1) == pytest.approx(FULL / seconds(FULL), rel=0.15)


def test_full_passes_tell_how_many_tokens_are_full() -> None:
    assert measured(600, 400, 500, 500, full=True) == pytest.approx(500 / seconds(500), rel=1e-3)


def test_the_rate_follows_a_replica_that_becomes_slower() -> None:
    cost = PassCost()
    for per_token in (1e-4, 4e-4):
        for tokens in [200, 400, 600, 800] * 200:
            cost.record(tokens, seconds(tokens, per_token=per_token), full=False)
    assert cost.rate(FULL) == pytest.approx(FULL / seconds(FULL, per_token=4e-4), rel=0.02)


def test_a_pass_that_stalls_moves_the_rate_little() -> None:
    cost = PassCost()
    for _ in range(10):
        for tokens in (200, 400, 600, 800):
            cost.record(tokens, seconds(tokens), full=False)
    cost.record(300, 20.0, full=False)
    assert cost.rate(FULL) == pytest.approx(FULL / seconds(FULL), rel=0.1)


def test_nothing_is_told_before_a_few_passes() -> None:
    cost = warm()
    for _ in range(2):
        cost.record(100, 1.0, full=False)
    assert cost.rate(FULL) is None


@given(
    st.lists(
        st.tuples(st.integers(1, 10**6), st.floats(0, 1e4), st.booleans()), min_size=3, max_size=50
    )
)
def test_whatever_passes_take_the_rate_is_a_positive_number(
    passes: list[tuple[int, float, bool]],
) -> None:
    cost = warm()
    for tokens, took, full in passes:
        cost.record(tokens, took, full=full)
    rate = cost.rate(FULL)
    assert rate is not None
    assert 0 < rate < float("inf")
