import asyncio

import pytest

from serve_app.errors import Overloaded
from serve_app.gateway.gateway import Gateway
from serve_app.settings import GatewaySettings
from tests.unit.gateway.model import Model


async def test_texts_that_are_on_their_way_already_are_always_admitted(
    gateway: Gateway, model: Model
) -> None:
    texts = ["slow", "a", "bb", "ccc"]
    first = asyncio.create_task(gateway.classify(texts, 9))
    while not model.asked:
        await asyncio.sleep(0)
    second = asyncio.create_task(gateway.classify(texts, 9))
    await asyncio.sleep(0)
    model.go_on.set()
    assert (await first).texts == (await second).texts


async def test_a_refused_chunk_does_not_wait_for_the_others(gateway: Gateway) -> None:
    with pytest.raises(Overloaded):
        await gateway.classify(["slow", "a", "busy", "b"], 9)


async def test_too_many_waiting_texts_are_refused_and_the_rest_answered(
    gateway: Gateway, model: Model
) -> None:
    waiting = asyncio.create_task(gateway.classify(["slow", "a", "bb"], 9))
    while not model.asked:
        await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await gateway.classify(["c", "dd", "eee", "ffff"], 9)
    model.go_on.set()
    assert len((await waiting).texts) == 3
    assert len((await gateway.classify(["c", "dd", "eee", "ffff"], 9)).texts) == 4


async def test_an_idle_gateway_takes_a_request_larger_than_its_queue(gateway: Gateway) -> None:
    texts = [f"{n}" for n in range(9)]
    assert len((await gateway.classify(texts, 9)).texts) == 9


async def test_what_would_wait_longer_than_allowed_is_refused_and_told_how_long(
    gateway: Gateway, model: Model
) -> None:
    slow = asyncio.create_task(gateway.classify(["slow"], 9))
    while not model.asked:
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    gateway.backlog.passed(busy_replicas=1)
    gateway.backlog.done(["x"])
    gateway.reconfigure(GatewaySettings(max_wait_s=0.001))
    with pytest.raises(Overloaded) as refused:
        await gateway.classify(["one", "two"], 9)
    assert refused.value.retry_after_s == 1
    assert (await gateway.classify([], 9)).texts == []
    model.go_on.set()
    await slow
    await gateway.classify(["one", "two"], 9)


async def test_before_any_wait_was_measured_work_is_bounded_by_what_replicas_are_asked_for(
    gateway: Gateway, model: Model
) -> None:
    one_call = GatewaySettings(chunk_chars=100, calls_per_replica=1, max_calls_per_replica=1)
    gateway.reconfigure(one_call)
    slow = asyncio.create_task(gateway.classify(["slow"], 9))
    while not model.asked:
        await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await gateway.classify(["x" * 200], 9)
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)
    assert gateway.backlog.pending == 0


async def test_requests_that_wait_for_the_same_text_are_bounded_too(
    gateway: Gateway, model: Model
) -> None:
    same = [asyncio.create_task(gateway.classify(["slow"], 9)) for _ in range(4)]
    while gateway.flights.waiting < 4:
        await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await gateway.classify(["slow"], 9)
    model.go_on.set()
    await asyncio.gather(*same)
