import asyncio

import pytest

from serve_app.dispatch.coalescer import SingleFlight
from serve_app.dispatch.wait_estimator import Backlog
from serve_app.errors import ModelUnavailable
from serve_app.scores import TextLogits
from serve_app.settings import GatewaySettings
from tests.unit.fanout.model import SETTINGS, Model, ask, by_key, logits


async def test_a_text_asked_for_twice_at_once_is_computed_once(
    flights: SingleFlight, model: Model
) -> None:
    first = asyncio.create_task(flights.score(by_key("a", "bb")))
    second = asyncio.create_task(flights.score(by_key("bb", "ccc")))
    await asyncio.sleep(0)
    model.go_on.set()
    assert (await first).texts == {b"a": logits("a"), b"bb": logits("bb")}
    assert (await second).texts == {b"bb": logits("bb"), b"ccc": logits("ccc")}
    assert model.asked == [["a", "bb"], ["ccc"]]


async def test_the_first_caller_may_leave_without_harm_to_the_second(
    flights: SingleFlight, model: Model
) -> None:
    first = asyncio.create_task(flights.score(by_key("a")))
    second = asyncio.create_task(flights.score(by_key("a")))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    model.go_on.set()
    assert (await second).texts == {b"a": logits("a")}
    assert (len(model.asked), model.cancelled) == (1, 0)


async def test_a_flight_that_nobody_waits_for_is_cancelled(
    flights: SingleFlight, model: Model
) -> None:
    callers = [asyncio.create_task(flights.score(by_key("a"))) for _ in range(3)]
    while not model.asked:
        await asyncio.sleep(0)
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)
    while not model.cancelled:
        await asyncio.sleep(0)
    assert flights.texts_in_flight == 0


async def test_a_text_is_computed_anew_after_its_flight_was_cancelled(
    flights: SingleFlight, model: Model
) -> None:
    gone = asyncio.create_task(flights.score(by_key("a")))
    while not model.asked:
        await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    model.go_on.set()
    assert (await flights.score(by_key("a"))).texts == {b"a": logits("a")}


async def test_what_was_scored_is_remembered_and_what_failed_is_not(
    flights: SingleFlight, model: Model, remembered: dict[bytes, TextLogits]
) -> None:
    model.go_on.set()
    landed = await flights.score(by_key("a", "poison"))
    assert landed.texts == {b"a": logits("a"), b"poison": None}
    assert remembered == {b"a": logits("a")}


async def test_every_passenger_learns_of_a_failure_and_the_next_request_tries_again(
    flights: SingleFlight, model: Model
) -> None:
    model.error = ModelUnavailable("gone")
    callers = [asyncio.create_task(flights.score(by_key("a"))) for _ in range(2)]
    await asyncio.sleep(0)
    model.go_on.set()
    for caller in callers:
        with pytest.raises(ModelUnavailable):
            await caller
    model.error = None
    assert (await flights.score(by_key("a"))).texts == {b"a": logits("a")}


async def test_texts_travel_with_the_sizes_of_their_requests(
    flights: SingleFlight, model: Model
) -> None:
    callers = await ask(flights, model, "xy", calls=2)
    callers.append(asyncio.create_task(flights.score(by_key("a", "b"))))
    callers.append(asyncio.create_task(flights.score(by_key("c"))))
    while flights.waiting < 4:
        await asyncio.sleep(0)
    model.go_on.set()
    await asyncio.gather(*callers)
    assert (model.asked[2], model.sizes[2]) == (["a", "b", "c"], [2, 2, 1])


async def test_a_request_that_joins_late_is_not_ended_by_the_clock_of_the_first_one(
    model: Model,
) -> None:
    settings = GatewaySettings(deadline_s=0.05)
    flights = SingleFlight(model.compute, lambda _: None, lambda: 2, settings, Backlog(512))
    first = await ask(flights, model, "a", calls=1)
    early = await ask(flights, model, "a", calls=1)
    await asyncio.sleep(0.06)
    late = await ask(flights, model, "a", calls=2)
    model.go_on.set()
    await asyncio.gather(*first, *early, *late)
    assert model.asked == [["a"], ["a"]]


async def test_the_backlog_knows_what_waits_and_forgets_what_left(model: Model) -> None:
    backlog = Backlog(512)
    flights = SingleFlight(model.compute, lambda _: None, lambda: 1, SETTINGS, backlog)
    callers = await ask(flights, model, "abc", calls=2)
    while flights.waiting < 3:
        await asyncio.sleep(0)
    assert backlog.pending == backlog.work(["a", "b", "c"])
    callers[0].cancel()
    callers[2].cancel()
    await asyncio.wait(callers[::2])
    assert backlog.pending == backlog.work(["b"])
    model.go_on.set()
    await callers[1]
    assert backlog.pending == 0
