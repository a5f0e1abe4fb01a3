import asyncio
from collections.abc import Mapping, Sequence

import pytest

from serve_app.classifier.reply import ChunkReply
from serve_app.errors import ModelUnavailable
from serve_app.fanout.backlog import Backlog
from serve_app.fanout.single_flight import Landed, SingleFlight
from serve_app.scores import TextLogits
from serve_app.settings import GatewaySettings

# Waiting for company ends when a call returns, here never by time.
SETTINGS = GatewaySettings(call_wait_s=1.0)


class Model:
    """Computes when let go, and remembers what it was asked."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.asked: list[list[str]] = []
        self.sizes: list[list[int]] = []
        self.cancelled = 0
        self.error: Exception | None = None

    async def compute(self, texts: Sequence[str], sizes: Sequence[int]) -> ChunkReply:
        self.asked.append(list(texts))
        self.sizes.append(list(sizes))
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error:
            raise self.error
        scored = [None if text == "poison" else logits(text) for text in texts]
        return ChunkReply(scored, 1.0, 2.0)


def logits(text: str) -> TextLogits:
    return TextLogits((float(len(text)), 0.0), truncated=False)


def by_key(*texts: str) -> dict[bytes, str]:
    return {text.encode(): text for text in texts}


async def ask(
    flights: SingleFlight, model: Model, texts: str, calls: int
) -> list[asyncio.Task[Landed]]:
    """Ask for each text in a request of its own, and return once so many calls are made."""
    callers = [asyncio.create_task(flights.score(by_key(text))) for text in texts]
    while len(model.asked) < calls:
        await asyncio.sleep(0)
    return callers


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def remembered() -> dict[bytes, TextLogits]:
    return {}


@pytest.fixture
def flights(model: Model, remembered: dict[bytes, TextLogits]) -> SingleFlight:
    def remember(scores: Mapping[bytes, TextLogits]) -> None:
        remembered.update(scores)

    return SingleFlight(model.compute, remember, lambda: 1, SETTINGS, Backlog(512))


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
    assert (flights.held_chars, flights.wanted_chars, flights.texts_in_flight) == (5, 8, 8)
    replicas = 2
    callers += await ask(flights, model, "i", calls=4)
    assert model.asked[2:] == [["d", "e"], ["f", "g"]]
    model.go_on.set()
    await asyncio.gather(*callers)
    assert model.asked[4:] == [["h", "i"]]
    assert (flights.held_chars, flights.wanted_chars) == (0, 9)


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
