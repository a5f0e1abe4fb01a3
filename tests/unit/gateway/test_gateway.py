import asyncio

import pytest

from serve_app.errors import DeadlineExceeded, InferenceFailed, ModelUnavailable
from serve_app.gateway.gateway import Gateway
from serve_app.settings import GatewaySettings
from tests.unit.gateway.model import Model, classify, logits


async def test_scores_come_in_the_order_of_the_texts(gateway: Gateway) -> None:
    answer = await classify(gateway, "bb", "a", "ccc")
    assert answer.logits == [logits("bb"), logits("a"), logits("ccc")]
    assert (answer.hits, answer.misses) == (0, 3)
    assert answer.times.queue >= 3.0
    assert answer.times.inference == 7.0


async def test_no_text_needs_no_model(gateway: Gateway, model: Model) -> None:
    answer = await classify(gateway)
    assert (answer.logits, answer.hits, answer.misses) == ([], 0, 0)
    assert model.asked == []


async def test_duplicates_are_computed_once(gateway: Gateway, model: Model) -> None:
    answer = await classify(gateway, "a", "bb", "a", "a")
    assert answer.logits == [logits("a"), logits("bb"), logits("a"), logits("a")]
    assert model.asked == [["a", "bb"]]


async def test_a_second_request_is_answered_from_the_cache(gateway: Gateway, model: Model) -> None:
    await classify(gateway, "a")
    await asyncio.sleep(0)
    answer = await classify(gateway, "a", "bb", "a")
    assert (answer.hits, answer.misses) == (2, 1)
    assert model.asked == [["a"], ["bb"]]


async def test_truncation_is_remembered_by_the_cache(gateway: Gateway) -> None:
    for _ in range(2):
        answer = await classify(gateway, "a" * 10, "b")
        await asyncio.sleep(0)
        assert [text.truncated for text in answer.logits] == [True, False]
    assert answer.hits == 2


async def test_a_failed_text_fails_its_request_and_is_not_cached(
    gateway: Gateway, model: Model
) -> None:
    with pytest.raises(InferenceFailed):
        await classify(gateway, "a", "poison")
    await asyncio.sleep(0)
    assert (await classify(gateway, "a")).hits == 1
    with pytest.raises(InferenceFailed):
        await classify(gateway, "poison")
    assert model.asked == [["a", "poison"], ["poison"]]


async def test_no_answer_in_time_is_a_deadline_exceeded(gateway: Gateway) -> None:
    with pytest.raises(DeadlineExceeded):
        await classify(gateway, "slow", within_s=0.01)


async def test_no_answer_in_time_and_no_replica_is_a_model_unavailable(
    gateway: Gateway, model: Model
) -> None:
    waiting = asyncio.create_task(classify(gateway, "slow", within_s=0.05))
    while not model.asked:
        await asyncio.sleep(0)
    model.available = False
    with pytest.raises(ModelUnavailable):
        await waiting


async def test_new_settings_apply_to_the_next_request(gateway: Gateway, model: Model) -> None:
    gateway.reconfigure(GatewaySettings(chunk_texts=1))
    await classify(gateway, "a", "b")
    assert model.asked == [["a"], ["b"]]
