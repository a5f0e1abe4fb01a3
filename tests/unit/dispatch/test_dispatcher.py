import asyncio

from tests.unit.dispatch.model import Model, Texts, by_key, logits


async def test_a_large_request_is_split_into_chunks(model: Model) -> None:
    texts = Texts(model, chunk_texts=3)
    model.go_on.set()
    scores = await texts.score(*"abcdefg")
    assert sorted(scores.logits) == sorted(by_key(*"abcdefg"))
    assert [len(asked) for asked in model.asked] == [2, 3, 2]


async def test_a_request_is_spread_over_idle_replicas() -> None:
    texts = Texts(model := Model(replicas=2))
    model.go_on.set()
    await texts.score(*"abcdefgh")
    assert [len(asked) for asked in model.asked] == [4, 4]


async def test_while_the_replica_is_busy_texts_share_the_next_call(
    texts: Texts, model: Model
) -> None:
    callers = await texts.ask("abcde", calls=2)
    assert model.asked == [["a"], ["b"]]
    model.go_on.set()
    for caller, text in zip(callers, "abcde", strict=True):
        assert (await caller).logits == {text.encode(): logits(text)}
    assert model.asked == [["a"], ["b"], ["c", "d", "e"]]


async def test_a_full_call_is_made_even_while_the_replica_is_busy(model: Model) -> None:
    texts = Texts(model, chunk_texts=2)
    callers = await texts.ask("abcde", calls=3)
    assert model.asked == [["a"], ["b"], ["c", "d"]]
    model.go_on.set()
    await asyncio.gather(*callers)


async def test_no_call_holds_more_than_a_replicas_share_of_the_texts_in_flight() -> None:
    texts = Texts(model := Model(replicas=2), calls_per_replica=1)
    callers = await texts.ask("abcdefghijkl", calls=4)
    assert model.asked == [["a"], ["b"], [*"cdef"], [*"ghijkl"]]
    model.go_on.set()
    await asyncio.gather(*callers)


async def test_a_call_that_never_returns_holds_the_next_one_back_for_a_moment_only(
    model: Model,
) -> None:
    texts = Texts(model, calls_per_replica=1, call_wait_s=0.001)
    callers = await texts.ask("abc", calls=2)
    assert model.asked == [["a"], ["b", "c"]]
    model.go_on.set()
    await asyncio.gather(*callers)


async def test_what_no_replica_has_room_for_waits_in_order_for_one_that_has(
    model: Model,
) -> None:
    texts = Texts(model, chunk_texts=2, calls_per_replica=1, max_calls_per_replica=2)
    callers = await texts.ask("abcdefgh", calls=2)
    assert model.asked == [["a"], ["b", "c"]]
    assert (texts.dispatcher.held_chars, texts.coalescer.texts_in_flight) == (5, 8)
    model.running = 2
    callers += await texts.ask("i", calls=4)
    assert model.asked[2:] == [["d", "e"], ["f", "g"]]
    model.go_on.set()
    await asyncio.gather(*callers)
    assert model.asked[4:] == [["h", "i"]]
    assert texts.dispatcher.held_chars == 0


async def test_a_call_that_has_waited_long_enough_waits_for_room_all_the_same(
    model: Model,
) -> None:
    texts = Texts(model, calls_per_replica=1, max_calls_per_replica=1, call_wait_s=0.001)
    callers = await texts.ask("ab", calls=1)
    await asyncio.sleep(0.01)
    callers += [texts.start("c")]
    await asyncio.sleep(0.01)
    assert model.asked == [["a"]]
    model.go_on.set()
    await asyncio.gather(*callers)
    assert model.asked == [["a"], ["b", "c"]]


async def test_a_held_text_whose_caller_leaves_is_not_computed(model: Model) -> None:
    texts = Texts(model, chunk_texts=1, calls_per_replica=1, max_calls_per_replica=1)
    callers = await texts.ask("abc", calls=1)
    callers[1].cancel()
    await asyncio.wait([callers[1]])
    assert texts.dispatcher.held_chars == 1
    model.go_on.set()
    assert (await callers[2]).logits == {b"c": logits("c")}
    assert model.asked == [["a"], ["c"]]


async def test_a_text_whose_caller_leaves_before_the_call_is_not_computed(
    texts: Texts, model: Model
) -> None:
    callers = await texts.ask("abcd", calls=2)
    callers[2].cancel()
    await asyncio.wait([callers[2]])
    model.go_on.set()
    assert (await callers[3]).logits == {b"d": logits("d")}
    assert model.asked == [["a"], ["b"], ["d"]]
    assert texts.coalescer.texts_in_flight == 0


async def test_texts_that_nobody_waits_for_make_no_call(texts: Texts, model: Model) -> None:
    callers = await texts.ask("abc", calls=2)
    callers[2].cancel()
    await asyncio.wait([callers[2]])
    model.go_on.set()
    await asyncio.wait(callers)
    await asyncio.sleep(0)
    assert model.asked == [["a"], ["b"]]
