import asyncio

import pytest

from serve_app.errors import ModelUnavailable
from tests.unit.dispatch.model import Model, Texts, logits


async def test_a_text_asked_for_twice_at_once_is_computed_once(texts: Texts, model: Model) -> None:
    first = texts.start("a", "bb")
    second = texts.start("bb", "ccc")
    await asyncio.sleep(0)
    model.go_on.set()
    assert (await first).logits == {b"a": logits("a"), b"bb": logits("bb")}
    assert (await second).logits == {b"bb": logits("bb"), b"ccc": logits("ccc")}
    assert model.asked == [["a", "bb"], ["ccc"]]


async def test_the_first_caller_may_leave_without_harm_to_the_second(
    texts: Texts, model: Model
) -> None:
    first = texts.start("a")
    second = texts.start("a")
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    model.go_on.set()
    assert (await second).logits == {b"a": logits("a")}
    assert (len(model.asked), model.cancelled) == (1, 0)


async def test_a_call_that_nobody_waits_for_is_cancelled(texts: Texts, model: Model) -> None:
    callers = [texts.start("a") for _ in range(3)]
    while not model.asked:
        await asyncio.sleep(0)
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)
    while not model.cancelled:
        await asyncio.sleep(0)
    assert texts.coalescer.texts_in_flight == 0


async def test_a_text_is_computed_anew_after_its_call_was_cancelled(
    texts: Texts, model: Model
) -> None:
    gone = texts.start("a")
    while not model.asked:
        await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    model.go_on.set()
    assert (await texts.score("a")).logits == {b"a": logits("a")}


async def test_scores_are_cached_and_failures_are_not(texts: Texts, model: Model) -> None:
    model.go_on.set()
    scores = await texts.score("a", "poison")
    assert scores.logits == {b"a": logits("a"), b"poison": None}
    await asyncio.sleep(0)
    assert texts.cache.get_cached([b"a"]) == {b"a": logits("a")}
    assert texts.cache.get_cached([b"poison"]) is None


async def test_scores_of_a_request_that_left_as_they_came_are_cached(
    texts: Texts, model: Model
) -> None:
    caller = texts.start("a")
    while not model.asked:
        await asyncio.sleep(0)
    model.go_on.set()
    for _ in range(2):
        await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait([caller])
    assert texts.cache.get_cached([b"a"]) == {b"a": logits("a")}


async def test_every_waiting_request_learns_of_a_failure_and_the_next_request_tries_again(
    texts: Texts, model: Model
) -> None:
    model.error = ModelUnavailable("gone")
    callers = [texts.start("a") for _ in range(2)]
    await asyncio.sleep(0)
    model.go_on.set()
    for caller in callers:
        with pytest.raises(ModelUnavailable):
            await caller
    model.error = None
    assert (await texts.score("a")).logits == {b"a": logits("a")}


async def test_texts_are_sent_with_the_sizes_of_their_requests(texts: Texts, model: Model) -> None:
    callers = await texts.ask("xy", calls=2)
    callers.append(texts.start("a", "b"))
    callers.append(texts.start("c"))
    while texts.coalescer.waiting < 4:
        await asyncio.sleep(0)
    model.go_on.set()
    await asyncio.gather(*callers)
    assert (model.asked[2], model.sizes[2]) == (["a", "b", "c"], [2, 2, 1])


async def test_a_request_that_comes_late_is_not_ended_by_the_deadline_of_the_first_one() -> None:
    model = Model(replicas=2)
    texts = Texts(model, deadline_s=0.05)
    first = await texts.ask("a", calls=1)
    early = await texts.ask("a", calls=1)
    await asyncio.sleep(0.06)
    late = await texts.ask("a", calls=2)
    model.go_on.set()
    await asyncio.gather(*first, *early, *late)
    assert model.asked == [["a"], ["a"]]


async def test_the_estimator_knows_what_waits_and_forgets_what_left(
    texts: Texts, model: Model
) -> None:
    estimator = texts.estimator
    callers = await texts.ask("abc", calls=2)
    while texts.coalescer.waiting < 3:
        await asyncio.sleep(0)
    assert estimator.pending == estimator.work(["a", "b", "c"])
    callers[0].cancel()
    callers[2].cancel()
    await asyncio.wait(callers[::2])
    assert estimator.pending == estimator.work(["b"])
    model.go_on.set()
    await callers[1]
    assert estimator.pending == 0
