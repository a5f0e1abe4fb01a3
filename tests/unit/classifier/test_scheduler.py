import asyncio
import threading
import time
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from serve_app.classifier.scheduler import (
    MAX_PADDING_SHARE,
    MAX_PADDING_TOKENS,
    BatchScheduler,
    ForwardPass,
    QueuedText,
    Scored,
    select_batch,
)
from serve_app.engine.tokenizer import Tokens
from serve_app.errors import DeadlineExceeded
from serve_app.settings import EngineName

POISON = 666
NOT_FINITE = 667


class LengthEngine:
    """Scores a text by its first token id; holds its batches back until told to go on."""

    def __init__(self) -> None:
        self.name: EngineName = "torch"
        self.go_on = threading.Event()
        self.go_on.set()
        self.batches: list[int] = []

    def logits(self, token_ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        self.go_on.wait()
        self.batches.append(len(token_ids))
        if any(ids[0] == POISON for ids in token_ids):
            raise RuntimeError("poison")
        rows = [[ids[0], np.nan if ids[0] == NOT_FINITE else 0.0] for ids in token_ids]
        return np.array(rows, dtype=np.float32)


@pytest.fixture
def engine() -> LengthEngine:
    return LengthEngine()


def tokens(first: int, length: int = 4) -> Tokens:
    return Tokens([first, *[0] * (length - 1)], truncated=False)


def in_a_minute() -> float:
    return time.monotonic() + 60


async def score(
    scheduler: BatchScheduler, texts: Sequence[Tokens], deadline: float
) -> Sequence[Scored | BaseException | None]:
    results = submit(scheduler, texts, deadline)
    return await asyncio.gather(*results, return_exceptions=True)


def submit(
    scheduler: BatchScheduler, texts: Sequence[Tokens], deadline: float
) -> "list[asyncio.Future[Scored | None]]":
    loop, now = asyncio.get_running_loop(), time.monotonic()
    queued = [QueuedText(each, deadline, now, loop.create_future()) for each in texts]
    scheduler.submit(queued)
    return [each.result for each in queued]


def _failure(result: BaseException | None) -> str | None:
    return None if result is None else type(result).__name__


def first_logits(results: Sequence[Scored | BaseException | None]) -> list[float | str | None]:
    return [
        result.logits.logits[0] if isinstance(result, Scored) else _failure(result)
        for result in results
    ]


async def until_busy(scheduler: BatchScheduler) -> None:
    while not scheduler.pass_age_s:
        await asyncio.sleep(0.001)


async def until(scheduler: BatchScheduler, waiting: int) -> None:
    while scheduler.waiting < waiting:
        await asyncio.sleep(0.001)


async def test_results_keep_the_order_of_the_texts(engine: LengthEngine) -> None:
    scheduler = BatchScheduler(engine, 1024)
    texts = [tokens(index, length) for index, length in enumerate((4, 300, 5, 90, 4))]
    assert first_logits(await score(scheduler, texts, in_a_minute())) == [0, 1, 2, 3, 4]


async def test_texts_that_arrive_during_a_forward_pass_form_the_next_batch(
    engine: LengthEngine,
) -> None:
    scheduler = BatchScheduler(engine, 1024)
    engine.go_on.clear()
    first = asyncio.create_task(score(scheduler, [tokens(1)], in_a_minute()))
    await until_busy(scheduler)
    later = [
        asyncio.create_task(score(scheduler, [tokens(n)], in_a_minute())) for n in range(2, 12)
    ]
    await until(scheduler, 10)
    engine.go_on.set()
    await asyncio.gather(first, *later)
    assert engine.batches == [1, 10]


async def test_a_poisoned_text_fails_alone(engine: LengthEngine) -> None:
    scheduler = BatchScheduler(engine, 1024)
    results = await score(scheduler, [tokens(1), tokens(POISON), tokens(3)], in_a_minute())
    assert first_logits(results) == [1, None, 3]
    assert engine.batches == [3, 1, 1, 1]
    assert (scheduler.failed, scheduler.waiting, scheduler.pending_tokens) == (1, 0, 0)


async def test_a_text_of_a_failed_batch_is_not_computed_again_past_its_deadline(
    engine: LengthEngine,
) -> None:
    scheduler = BatchScheduler(engine, 1024)
    engine.go_on.clear()
    (late,) = submit(scheduler, [tokens(1)], time.monotonic() + 0.01)
    (poisoned,) = submit(scheduler, [tokens(POISON)], in_a_minute())
    await until_busy(scheduler)
    await asyncio.sleep(0.02)
    engine.go_on.set()
    results = await asyncio.gather(late, poisoned, return_exceptions=True)
    assert first_logits(results) == ["DeadlineExceeded", None]
    assert engine.batches == [2, 1]


async def test_a_score_that_is_not_finite_fails_alone(engine: LengthEngine) -> None:
    scheduler = BatchScheduler(engine, 1024)
    results = await score(scheduler, [tokens(1), tokens(NOT_FINITE)], in_a_minute())
    assert first_logits(results) == [1, None]


async def test_work_past_its_deadline_is_not_computed(engine: LengthEngine) -> None:
    scheduler = BatchScheduler(engine, 1024)
    engine.go_on.clear()
    first = asyncio.create_task(score(scheduler, [tokens(1)], in_a_minute()))
    await until_busy(scheduler)
    late = asyncio.create_task(score(scheduler, [tokens(2)], time.monotonic()))
    await until(scheduler, 1)
    engine.go_on.set()
    assert first_logits(await first) == [1]
    results = await late
    assert isinstance(results[0], DeadlineExceeded)
    assert sum(engine.batches) == 1


async def test_work_whose_caller_left_is_not_computed(engine: LengthEngine) -> None:
    scheduler = BatchScheduler(engine, 1024)
    engine.go_on.clear()
    first = asyncio.create_task(score(scheduler, [tokens(1)], in_a_minute()))
    await until_busy(scheduler)
    for result in submit(scheduler, [tokens(2), tokens(3)], in_a_minute()):
        result.cancel()
    engine.go_on.set()
    assert first_logits(await first) == [1]
    assert first_logits(await score(scheduler, [tokens(4)], in_a_minute())) == [4]
    assert sum(engine.batches) == 2


async def test_the_age_of_a_forward_pass_tells_a_hanging_engine(engine: LengthEngine) -> None:
    scheduler = BatchScheduler(engine, 1024)
    assert scheduler.pass_age_s == 0
    engine.go_on.clear()
    hanging = asyncio.create_task(score(scheduler, [tokens(1)], in_a_minute()))
    while scheduler.pass_age_s < 0.01:
        await asyncio.sleep(0.001)
    engine.go_on.set()
    await hanging
    assert scheduler.pass_age_s == 0


async def test_forward_passes_that_succeed_are_recorded(engine: LengthEngine) -> None:
    passes: list[ForwardPass] = []
    scheduler = BatchScheduler(engine, 1024, passes.append)
    await score(scheduler, [tokens(1, 4), tokens(2, 5), tokens(POISON)], in_a_minute())
    assert [each.lengths for each in passes] == [[4], [5]]
    assert all(each.queue_s >= 0 and each.inference_s > 0 for each in passes)
    assert [each.logits.shape for each in passes] == [(1, 2), (1, 2)]


async def test_what_is_dropped_is_counted_by_reason(engine: LengthEngine) -> None:
    scheduler = BatchScheduler(engine, 1024)
    engine.go_on.clear()
    (busy,) = submit(scheduler, [tokens(1)], in_a_minute())
    await asyncio.sleep(0.05)
    (left,) = submit(scheduler, [tokens(2)], in_a_minute())
    (late,) = submit(scheduler, [tokens(3)], time.monotonic())
    left.cancel()
    assert scheduler.waiting == 2
    engine.go_on.set()
    await asyncio.wait([busy, late])
    assert (scheduler.left, scheduler.late, scheduler.waiting) == (1, 1, 0)


async def test_a_small_request_does_not_wait_for_large_ones_nor_they_for_many_small_ones(
    engine: LengthEngine,
) -> None:
    scheduler = BatchScheduler(engine, max_batch_tokens=8)
    ended: list[str] = []

    def request(name: str, texts: int) -> None:
        loop, now = asyncio.get_running_loop(), time.monotonic()
        queued = [
            QueuedText(tokens(1), in_a_minute(), now, loop.create_future(), None, texts)
            for _ in range(texts)
        ]
        scheduler.submit(queued)
        queued[-1].result.add_done_callback(lambda _: ended.append(name))

    engine.go_on.clear()
    request("busy", 1)
    await until_busy(scheduler)
    request("large", 20)
    for number in range(30):
        request(f"small {number}", 1)
    engine.go_on.set()
    while len(ended) < 32:
        await asyncio.sleep(0.001)
    # Two texts a batch, and every other batch serves the small ones.
    assert 4 <= ended.index("small 4") <= 6
    assert 18 <= ended.index("large") <= 24


async def test_a_recorder_that_fails_keeps_nobody_waiting(engine: LengthEngine) -> None:
    def failing(_: ForwardPass) -> None:
        raise KeyError("a defect")

    scheduler = BatchScheduler(engine, max_batch_tokens=4, record=failing)
    results = await asyncio.gather(*submit(scheduler, [tokens(1), tokens(2)], in_a_minute()))
    assert first_logits(results) == [1.0, 2.0]


lengths_of_texts = st.lists(st.integers(2, 512), min_size=1, max_size=64)


def test_texts_of_like_length_go_together() -> None:
    assert select_batch([20, 21, 300, 19, 310], 1024) == [0, 1, 3]


def test_the_first_text_is_always_selected_even_above_the_maximum() -> None:
    assert select_batch([512, 500], 100) == [0]


def test_the_maximum_counts_padding() -> None:
    assert select_batch([8, 10, 8], 25) == [0, 1]


@given(lengths_of_texts, st.integers(1, 2048))
def test_no_batch_exceeds_the_maximum_or_wastes_more_than_its_share(
    lengths: list[int], max_tokens: int
) -> None:
    chosen = select_batch(lengths, max_tokens)
    longest = max(lengths[index] for index in chosen)
    assert chosen[0] == 0
    assert chosen == sorted(set(chosen))
    assert len(chosen) == 1 or longest * len(chosen) <= max_tokens
    for index in chosen:
        assert longest - lengths[index] <= max(MAX_PADDING_TOKENS, MAX_PADDING_SHARE * longest)


@given(lengths_of_texts, st.integers(1, 2048))
def test_taking_batches_serves_every_text_once(lengths: list[int], max_tokens: int) -> None:
    waiting = list(range(len(lengths)))
    served: list[int] = []
    while waiting:
        chosen = select_batch([lengths[text] for text in waiting], max_tokens)
        served += [waiting[index] for index in chosen]
        waiting = [text for index, text in enumerate(waiting) if index not in chosen]
    assert sorted(served) == list(range(len(lengths)))
