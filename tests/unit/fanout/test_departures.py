"""When texts leave the gateway, and which leave together."""

import asyncio

from serve_app.dispatch.coalescer import SingleFlight
from serve_app.dispatch.wait_estimator import Backlog
from tests.unit.fanout.model import SETTINGS, Model, ask, by_key, logits


async def test_large_requests_fly_in_chunks(flights: SingleFlight, model: Model) -> None:
    flights.settings = SETTINGS.model_copy(update={"chunk_texts": 3})
    model.go_on.set()
    landed = await flights.score(by_key(*"abcdefg"))
    assert sorted(landed.texts) == sorted(by_key(*"abcdefg"))
    assert [len(asked) for asked in model.asked] == [2, 3, 2]


async def test_a_request_is_spread_over_idle_replicas(model: Model) -> None:
    flights = SingleFlight(model.compute, lambda _: None, lambda: 2, SETTINGS, Backlog(512))
    model.go_on.set()
    await flights.score(by_key(*"abcdefgh"))
    assert [len(asked) for asked in model.asked] == [4, 4]


async def test_while_the_replica_is_busy_texts_share_the_next_call(
    flights: SingleFlight, model: Model
) -> None:
    callers = await ask(flights, model, "abcde", calls=2)
    assert model.asked == [["a"], ["b"]]
    model.go_on.set()
    for caller, text in zip(callers, "abcde", strict=True):
        assert (await caller).texts == {text.encode(): logits(text)}
    assert model.asked == [["a"], ["b"], ["c", "d", "e"]]


async def test_a_full_call_is_made_even_while_the_replica_is_busy(
    flights: SingleFlight, model: Model
) -> None:
    flights.settings = SETTINGS.model_copy(update={"chunk_texts": 2})
    callers = await ask(flights, model, "abcde", calls=3)
    assert model.asked == [["a"], ["b"], ["c", "d"]]
    model.go_on.set()
    await asyncio.gather(*callers)


async def test_no_call_holds_more_than_a_replicas_share_of_the_texts_in_flight(
    model: Model,
) -> None:
    settings = SETTINGS.model_copy(update={"calls_per_replica": 1})
    flights = SingleFlight(model.compute, lambda _: None, lambda: 2, settings, Backlog(512))
    callers = await ask(flights, model, "abcdefghijkl", calls=4)
    assert model.asked == [["a"], ["b"], [*"cdef"], [*"ghijkl"]]
    model.go_on.set()
    await asyncio.gather(*callers)


async def test_a_call_that_never_returns_holds_the_next_one_back_for_a_moment_only(
    flights: SingleFlight, model: Model
) -> None:
    flights.settings = SETTINGS.model_copy(update={"calls_per_replica": 1, "call_wait_s": 0.001})
    callers = await ask(flights, model, "abc", calls=2)
    assert model.asked == [["a"], ["b", "c"]]
    model.go_on.set()
    await asyncio.gather(*callers)


async def test_what_no_replica_has_room_for_waits_in_order_for_one_that_has(
    model: Model,
) -> None:
    replicas = 1
    settings = SETTINGS.model_copy(
        update={"chunk_texts": 2, "calls_per_replica": 1, "max_calls_per_replica": 2}
    )
    flights = SingleFlight(model.compute, lambda _: None, lambda: replicas, settings, Backlog(512))
    callers = await ask(flights, model, "abcdefgh", calls=2)
    assert model.asked == [["a"], ["b", "c"]]
    assert (flights.held_chars, flights.texts_in_flight) == (5, 8)
    replicas = 2
    callers += await ask(flights, model, "i", calls=4)
    assert model.asked[2:] == [["d", "e"], ["f", "g"]]
    model.go_on.set()
    await asyncio.gather(*callers)
    assert model.asked[4:] == [["h", "i"]]
    assert flights.held_chars == 0


async def test_a_call_that_has_waited_long_enough_waits_for_room_all_the_same(
    flights: SingleFlight, model: Model
) -> None:
    flights.settings = SETTINGS.model_copy(
        update={"calls_per_replica": 1, "max_calls_per_replica": 1, "call_wait_s": 0.001}
    )
    callers = await ask(flights, model, "ab", calls=1)
    await asyncio.sleep(0.01)
    callers += [asyncio.create_task(flights.score(by_key("c")))]
    await asyncio.sleep(0.01)
    assert model.asked == [["a"]]
    model.go_on.set()
    await asyncio.gather(*callers)
    assert model.asked == [["a"], ["b", "c"]]


async def test_a_held_text_whose_caller_leaves_is_not_computed(
    flights: SingleFlight, model: Model
) -> None:
    flights.settings = SETTINGS.model_copy(
        update={"chunk_texts": 1, "calls_per_replica": 1, "max_calls_per_replica": 1}
    )
    callers = await ask(flights, model, "abc", calls=1)
    callers[1].cancel()
    await asyncio.wait([callers[1]])
    assert flights.held_chars == 1
    model.go_on.set()
    assert (await callers[2]).texts == {b"c": logits("c")}
    assert model.asked == [["a"], ["c"]]


async def test_a_text_whose_caller_leaves_before_the_departure_is_not_computed(
    flights: SingleFlight, model: Model
) -> None:
    callers = await ask(flights, model, "abcd", calls=2)
    callers[2].cancel()
    await asyncio.wait([callers[2]])
    model.go_on.set()
    assert (await callers[3]).texts == {b"d": logits("d")}
    assert model.asked == [["a"], ["b"], ["d"]]
    assert flights.texts_in_flight == 0


async def test_texts_that_nobody_waits_for_make_no_call(
    flights: SingleFlight, model: Model
) -> None:
    callers = await ask(flights, model, "abc", calls=2)
    callers[2].cancel()
    await asyncio.wait([callers[2]])
    model.go_on.set()
    await asyncio.wait(callers)
    await asyncio.sleep(0)
    assert model.asked == [["a"], ["b"]]
