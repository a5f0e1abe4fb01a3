from datetime import UTC, datetime

import pytest

from serve_app.client.retry import RetryPolicy, retry_after_s

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("5", 5.0),
        (" 0 ", 0.0),
        ("Mon, 23 Nov 2026 12:00:30 GMT", 30.0),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
        ("-1", None),
        ("nan", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, lambda: NOON) == seconds


def test_waits_double_up_to_their_cap() -> None:
    policy = RetryPolicy(base_s=0.5, cap_s=3.0)
    assert [policy.wait_s(n, None, lambda: 1.0) for n in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_jitter_spreads_waits_from_what_is_asked_upwards() -> None:
    policy = RetryPolicy(base_s=2.0)
    waits = {policy.wait_s(0, 5.0) for _ in range(200)}
    assert all(5.0 <= wait < 7.0 for wait in waits)
    assert len(waits) > 100
    assert RetryPolicy().wait_s(2000, None) < RetryPolicy().cap_s
