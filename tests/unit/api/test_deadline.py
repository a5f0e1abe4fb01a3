import asyncio

import pytest

from serve_app.api.predict import allowed_s, deadline
from serve_app.errors import DeadlineExceeded, InvalidRequest


async def test_a_block_that_ends_in_time_is_left_alone() -> None:
    async with deadline(60) as seconds_left:
        first = seconds_left()
        await asyncio.sleep(0)
        assert 0 < seconds_left() <= first <= 60


async def test_a_block_that_hangs_is_cancelled() -> None:
    cancelled = False
    with pytest.raises(DeadlineExceeded, match=r"within 0\.01 seconds"):
        async with deadline(0.01):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled = True
                raise
    assert cancelled


async def test_nothing_is_left_after_the_end() -> None:
    with pytest.raises(DeadlineExceeded):
        async with deadline(0.001) as seconds_left:
            try:
                await asyncio.Event().wait()
            finally:
                assert seconds_left() == 0


async def test_the_blocks_own_timeout_passes() -> None:
    with pytest.raises(TimeoutError):
        async with deadline(60):
            raise TimeoutError


async def test_a_cancellation_from_outside_passes() -> None:
    entered = asyncio.Event()

    async def work() -> None:
        async with deadline(60):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [(None, 30), ("250", 0.25), ("30000", 30), ("99999999999999999999", 30), ("0000000010", 0.01)],
)
def test_a_client_may_ask_for_less_than_the_longest_deadline(
    asked: str | None, seconds: float
) -> None:
    assert allowed_s(asked, 30) == seconds


@pytest.mark.parametrize("asked", ["", "0", "-1", "1.5", "soon", "1e3", "\u0663"])
def test_what_is_no_number_of_milliseconds_is_refused(asked: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        allowed_s(asked, 30)
    assert refused.value.errors[0]["loc"] == ["header", "x-deadline-ms"]
