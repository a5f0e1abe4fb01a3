import pytest

from serve_app.cache.score_cache import MemoryTier
from serve_app.scores import TextLogits
from tests.unit.clock import ManualClock


@pytest.fixture
def tier(clock: ManualClock) -> MemoryTier:
    return MemoryTier(3, clock)


def value(number: float) -> TextLogits:
    return TextLogits((number, -number), truncated=False)


def fill(tier: MemoryTier, keys: bytes, lifetime_s: float = 10) -> None:
    for code in keys:
        tier.set(bytes([code]), value(code), lifetime_s)


def held(tier: MemoryTier, keys: bytes) -> bytes:
    return b"".join(tier.get_many(bytes([code]) for code in keys))


def test_it_returns_what_it_holds(tier: MemoryTier) -> None:
    fill(tier, b"ab")
    assert tier.get_many([b"a", b"x", b"b"]) == {b"a": value(ord("a")), b"b": value(ord("b"))}


def test_the_least_recently_used_goes_first(tier: MemoryTier) -> None:
    fill(tier, b"abc")
    tier.get_many([b"a"])
    fill(tier, b"d")
    assert held(tier, b"abcd") == b"acd"


def test_each_entry_has_its_own_lifetime(tier: MemoryTier, clock: ManualClock) -> None:
    fill(tier, b"a", lifetime_s=10)
    fill(tier, b"b", lifetime_s=5)
    clock.now += 5
    assert held(tier, b"ab") == b"a"
    clock.now += 5
    assert held(tier, b"ab") == b""


def test_reading_does_not_prolong_a_lifetime(tier: MemoryTier, clock: ManualClock) -> None:
    fill(tier, b"a", lifetime_s=10)
    for _ in range(10):
        clock.now += 1
        tier.get_many([b"a"])
    assert held(tier, b"a") == b""


def test_a_newer_value_replaces_value_and_lifetime(tier: MemoryTier, clock: ManualClock) -> None:
    tier.set(b"a", value(1), 5)
    tier.set(b"a", value(2), 10)
    clock.now += 7
    assert tier.get_many([b"a"]) == {b"a": value(2)}


def test_shrinking_keeps_the_most_recently_used(tier: MemoryTier) -> None:
    fill(tier, b"abc")
    tier.get_many([b"a"])
    tier.resize(2)
    assert held(tier, b"abc") == b"ac"


def test_growing_keeps_everything(tier: MemoryTier, clock: ManualClock) -> None:
    fill(tier, b"abc")
    tier.resize(5)
    fill(tier, b"def", lifetime_s=20)
    assert held(tier, b"abcdef") == b"bcdef"
    clock.now += 10
    assert held(tier, b"abcdef") == b"def"
