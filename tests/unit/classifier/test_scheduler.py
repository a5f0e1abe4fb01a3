import asyncio
import threading
import time
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from serve_app.classifier.scheduler import Job, Pass, Scheduler, Scored
from serve_app.engine.tokenizer import Tokens
from serve_app.errors import DeadlineExceeded, InferenceFailed
from serve_app.settings import EngineName

POISON = 666
NOT_FINITE = 667


class LengthEngine:
    """Scores a text by its first token id; holds its passes back until told to go on."""

    def __init__(self) -> None:
        self.name: EngineName = "torch"
        self.go_on = threading.Event()
        self.go_on.set()
        self.passes: list[int] = []

    def logits(self, token_ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        self.go_on.wait()
        self.passes.append(len(token_ids))
        if any(ids[0] == POISON for ids in token_ids):
            raise RuntimeError("poison")
        rows = [[ids[0], np.nan if ids[0] == NOT_FINITE else 0.0] for ids in token_ids]
        return np.array(rows, dtype=np.float32)


@pytest.fixture
def engine() -> LengthEngine:
    return LengthEngine()


def text(first: int, length: int = 4) -> Tokens:
    return Tokens([first, *[0] * (length - 1)], truncated=False)


def in_a_minute() -> float:
    return time.monotonic() + 60


async def score(
    scheduler: Scheduler, texts: Sequence[Tokens], deadline: float
) -> Sequence[Scored | BaseException]:
    results = submit(scheduler, texts, deadline)
    return await asyncio.gather(*results, return_exceptions=True)


def submit(
    scheduler: Scheduler, texts: Sequence[Tokens], deadline: float
) -> "list[asyncio.Future[Scored]]":
    loop, now = asyncio.get_running_loop(), time.monotonic()
    jobs = [Job(text, deadline, now, loop.create_future()) for text in texts]
    scheduler.submit(jobs)
    return [job.result for job in jobs]


def first_logits(results: Sequence[Scored | BaseException]) -> list[float | str]:
    return [
        result.logits.logits[0] if isinstance(result, Scored) else type(result).__name__
        for result in results
    ]


async def until_busy(scheduler: Scheduler) -> None:
    while not scheduler.pass_age_s:
        await asyncio.sleep(0.001)


async def until(scheduler: Scheduler, waiting: int) -> None:
    while len(scheduler._waiting) < waiting:
        await asyncio.sleep(0.001)


async def test_results_keep_the_order_of_the_texts(engine: LengthEngine) -> None:
    scheduler = Scheduler(engine, 1024)
    texts = [text(index, length) for index, length in enumerate((4, 300, 5, 90, 4))]
    assert first_logits(await score(scheduler, texts, in_a_minute())) == [0, 1, 2, 3, 4]


async def test_texts_that_arrive_during_a_pass_form_the_next_one(engine: LengthEngine) -> None:
    scheduler = Scheduler(engine, 1024)
    engine.go_on.clear()
    first = asyncio.create_task(score(scheduler, [text(1)], in_a_minute()))
    await until_busy(scheduler)
    later = [asyncio.create_task(score(scheduler, [text(n)], in_a_minute())) for n in range(2, 12)]
    await until(scheduler, 10)
    engine.go_on.set()
    await asyncio.gather(first, *later)
    assert engine.passes == [1, 10]


async def test_a_poisoned_text_fails_alone(engine: LengthEngine) -> None:
    scheduler = Scheduler(engine, 1024)
    results = await score(scheduler, [text(1), text(POISON), text(3)], in_a_minute())
    assert first_logits(results) == [1, "InferenceFailed", 3]


async def test_a_score_that_is_not_finite_fails_alone(engine: LengthEngine) -> None:
    scheduler = Scheduler(engine, 1024)
    results = await score(scheduler, [text(1), text(NOT_FINITE)], in_a_minute())
    assert first_logits(results) == [1, "InferenceFailed"]
    assert isinstance(results[1], InferenceFailed)


async def test_work_past_its_deadline_is_not_computed(engine: LengthEngine) -> None:
    scheduler = Scheduler(engine, 1024)
    engine.go_on.clear()
    first = asyncio.create_task(score(scheduler, [text(1)], in_a_minute()))
    await until_busy(scheduler)
    late = asyncio.create_task(score(scheduler, [text(2)], time.monotonic()))
    await until(scheduler, 1)
    engine.go_on.set()
    assert first_logits(await first) == [1]
    results = await late
    assert isinstance(results[0], DeadlineExceeded)
    assert sum(engine.passes) == 1


async def test_work_whose_caller_left_is_not_computed(engine: LengthEngine) -> None:
    scheduler = Scheduler(engine, 1024)
    engine.go_on.clear()
    first = asyncio.create_task(score(scheduler, [text(1)], in_a_minute()))
    await until_busy(scheduler)
    for result in submit(scheduler, [text(2), text(3)], in_a_minute()):
        result.cancel()
    engine.go_on.set()
    assert first_logits(await first) == [1]
    assert first_logits(await score(scheduler, [text(4)], in_a_minute())) == [4]
    assert sum(engine.passes) == 2


async def test_the_age_of_a_pass_tells_a_hanging_engine(engine: LengthEngine) -> None:
    scheduler = Scheduler(engine, 1024)
    assert scheduler.pass_age_s == 0
    engine.go_on.clear()
    hanging = asyncio.create_task(score(scheduler, [text(1)], in_a_minute()))
    while scheduler.pass_age_s < 0.01:
        await asyncio.sleep(0.001)
    engine.go_on.set()
    await hanging
    assert scheduler.pass_age_s == 0


async def test_observers_are_told_about_every_pass_that_succeeds(engine: LengthEngine) -> None:
    passes: list[Pass] = []
    scheduler = Scheduler(engine, 1024, [passes.append])
    await score(scheduler, [text(1, 4), text(2, 5), text(POISON)], in_a_minute())
    assert sorted(sorted(done.lengths) for done in passes) == [[4], [5]]
    assert all(done.queue_s >= 0 and done.inference_s > 0 for done in passes)
    assert [done.logits.shape for done in passes] == [(1, 2), (1, 2)]
    assert scheduler.failed == 1


async def test_what_is_dropped_is_counted_by_reason(engine: LengthEngine) -> None:
    scheduler = Scheduler(engine, 1024)
    engine.go_on.clear()
    (busy,) = submit(scheduler, [text(1)], in_a_minute())
    await asyncio.sleep(0.05)
    (left,) = submit(scheduler, [text(2)], in_a_minute())
    (late,) = submit(scheduler, [text(3)], time.monotonic())
    left.cancel()
    assert scheduler.waiting == 2
    engine.go_on.set()
    await asyncio.wait([busy, late])
    assert (scheduler.left, scheduler.late, scheduler.waiting) == (1, 1, 0)


async def test_a_small_request_does_not_wait_for_large_ones_nor_they_for_many_small_ones(
    engine: LengthEngine,
) -> None:
    scheduler = Scheduler(engine, max_batch_tokens=8)
    ended: list[str] = []

    def request(name: str, texts: int) -> None:
        loop, now = asyncio.get_running_loop(), time.monotonic()
        jobs = [
            Job(text(1), in_a_minute(), now, loop.create_future(), None, texts)
            for _ in range(texts)
        ]
        scheduler.submit(jobs)
        jobs[-1].result.add_done_callback(lambda _: ended.append(name))

    engine.go_on.clear()
    request("busy", 1)
    await until_busy(scheduler)
    request("large", 20)
    for number in range(30):
        request(f"small {number}", 1)
    engine.go_on.set()
    while len(ended) < 32:
        await asyncio.sleep(0.001)
    # Two texts a pass, and every other pass serves the small ones.
    assert 4 <= ended.index("small 4") <= 6
    assert 18 <= ended.index("large") <= 24


async def test_an_observer_that_fails_keeps_nobody_waiting(engine: LengthEngine) -> None:
    def failing(_: Pass) -> None:
        raise KeyError("a defect")

    engine.go_on.clear()
    scheduler = Scheduler(engine, max_batch_tokens=4, observers=[failing])
    results = submit(scheduler, [text(1), text(2)], in_a_minute())
    engine.go_on.set()
    scored = await asyncio.wait_for(asyncio.gather(*results), 5)
    assert [each.logits.logits[0] for each in scored] == [1.0, 2.0]
