import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.classifier.throughput import IGNORED_BATCHES, MEMORY_CHARS, ThroughputEstimator

FULL = 1024


def seconds(tokens: int, fixed: float = 0.02, per_token: float = 1e-4) -> float:
    return fixed + per_token * tokens


def warm() -> ThroughputEstimator:
    """Return the estimator of a replica whose first batches have taken far too long."""
    throughput = ThroughputEstimator()
    for _ in range(IGNORED_BATCHES):
        throughput.observe_batch(100, 10.0, full=False)
    return throughput


def measured(*tokens: int, noise: float = 0.0, full: bool = False) -> float:
    throughput = warm()
    for index, count in enumerate(tokens):
        took = seconds(count) * (1 + noise * (-1) ** index)
        throughput.observe_batch(count, took, full=full)
    rate = throughput.tokens_per_s(FULL)
    assert rate is not None
    return rate


def test_small_batches_tell_the_rate_of_full_ones() -> None:
    assert measured(10, 20, 30, 40) == pytest.approx(FULL / seconds(FULL))


def test_batches_of_one_size_tell_their_own_rate() -> None:
    assert measured(100, 100, 100) == pytest.approx(100 / seconds(100))


def test_noise_moves_the_rate_little() -> None:
    batches = [100, 900, 300, 700, 500, 1000] * 5
    assert measured(*batches, noise=0.1) == pytest.approx(FULL / seconds(FULL), rel=0.15)


def test_full_batches_tell_how_many_tokens_are_full() -> None:
    assert measured(600, 400, 500, 500, full=True) == pytest.approx(500 / seconds(500), rel=1e-3)


def test_the_rate_follows_a_replica_that_becomes_slower() -> None:
    throughput = ThroughputEstimator()
    for per_token in (1e-4, 4e-4):
        for tokens in [200, 400, 600, 800] * 200:
            throughput.observe_batch(tokens, seconds(tokens, per_token=per_token), full=False)
    slower = FULL / seconds(FULL, per_token=4e-4)
    assert throughput.tokens_per_s(FULL) == pytest.approx(slower, rel=0.02)


def test_a_batch_that_stalls_moves_the_rate_little() -> None:
    throughput = ThroughputEstimator()
    for _ in range(10):
        for tokens in (200, 400, 600, 800):
            throughput.observe_batch(tokens, seconds(tokens), full=False)
    throughput.observe_batch(300, 20.0, full=False)
    assert throughput.tokens_per_s(FULL) == pytest.approx(FULL / seconds(FULL), rel=0.1)


def test_there_is_no_rate_before_a_few_batches() -> None:
    throughput = warm()
    for _ in range(2):
        throughput.observe_batch(100, 1.0, full=False)
    assert throughput.tokens_per_s(FULL) is None


@given(
    st.lists(
        st.tuples(st.integers(1, 10**6), st.floats(0, 1e4), st.booleans()), min_size=3, max_size=50
    )
)
def test_whatever_batches_take_the_rate_is_a_positive_number(
    batches: list[tuple[int, float, bool]],
) -> None:
    throughput = warm()
    for tokens, took, full in batches:
        throughput.observe_batch(tokens, took, full=full)
    rate = throughput.tokens_per_s(FULL)
    assert rate is not None
    assert 0 < rate < float("inf")


def test_tokens_in_a_character_follow_the_latest_texts() -> None:
    throughput = ThroughputEstimator()
    assert throughput.tokens_per_char is None
    throughput.observe_texts(["good", "very good"], 8)
    assert throughput.tokens_per_char == 8 / 13
    throughput.observe_texts(["x" * MEMORY_CHARS], MEMORY_CHARS)
    assert throughput.tokens_per_char == 1
