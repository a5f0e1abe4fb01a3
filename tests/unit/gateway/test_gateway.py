import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from serve_app.cache.score_cache import open_cache
from serve_app.classifier.reply import ChunkReply
from serve_app.errors import DeadlineExceeded, InferenceFailed, ModelUnavailable, Overloaded
from serve_app.gateway import gateway as gateway_module
from serve_app.gateway.gateway import PROBE_TEXT, Gateway
from serve_app.model.identity import ModelIdentity
from serve_app.scores import TextLogits
from serve_app.settings import GatewaySettings

MODEL = ModelIdentity(Path(), "m", "r", "d", ("NEGATIVE", "POSITIVE"), 512, 0)


class Model:
    """Scores a text by its length; fails on poison, waits for what is slow."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.available = True
        self.busy = False
        self.silent = False
        self.late_s = 0.0
        self.go_on = asyncio.Event()

    async def classify(
        self, texts: Sequence[str], within_s: float, sizes: Sequence[int] = ()
    ) -> ChunkReply:
        self.asked.append(list(texts))
        if not self.available:
            raise ModelUnavailable("no replica")
        if "slow" in texts:
            await self.go_on.wait()
        if self.late_s:
            await asyncio.sleep(self.late_s)
        if self.silent:
            await asyncio.sleep(within_s)
            raise DeadlineExceeded("silent")
        if "busy" in texts or self.busy:
            raise Overloaded("busy")
        return ChunkReply([None if t == "poison" else logits(t) for t in texts], 3.0, 7.0)

    def replicas(self) -> int:
        return int(self.available)


def logits(text: str) -> TextLogits:
    return TextLogits((float(len(text)), 1.0), truncated=len(text) > 9)


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
async def gateway(model: Model) -> AsyncIterator[Gateway]:
    settings = GatewaySettings(max_texts=4, max_pending_texts=4, chunk_texts=2)
    cache = open_cache("memory://", 2, settings)
    opened = Gateway(MODEL, "onnx-int8", cache, model, settings)
    yield opened
    await opened.aclose()


async def test_scores_come_in_the_order_of_the_texts(gateway: Gateway) -> None:
    answer = await gateway.classify(["bb", "a", "ccc"], 9)
    assert answer.texts == [logits("bb"), logits("a"), logits("ccc")]
    assert (answer.hits, answer.misses) == (0, 3)
    assert answer.times.queue >= 3.0
    assert answer.times.inference == 7.0


async def test_no_text_needs_no_model(gateway: Gateway, model: Model) -> None:
    answer = await gateway.classify([], 9)
    assert (answer.texts, answer.hits, answer.misses) == ([], 0, 0)
    assert model.asked == []


async def test_duplicates_are_computed_once(gateway: Gateway, model: Model) -> None:
    answer = await gateway.classify(["a", "bb", "a", "a"], 9)
    assert answer.texts == [logits("a"), logits("bb"), logits("a"), logits("a")]
    assert model.asked == [["a", "bb"]]


async def test_a_second_request_is_answered_from_the_cache(gateway: Gateway, model: Model) -> None:
    await gateway.classify(["a"], 9)
    await asyncio.sleep(0)
    answer = await gateway.classify(["a", "bb", "a"], 9)
    assert (answer.hits, answer.misses) == (2, 1)
    assert model.asked == [["a"], ["bb"]]


async def test_truncation_is_remembered_by_the_cache(gateway: Gateway) -> None:
    for _ in range(2):
        answer = await gateway.classify(["a" * 10, "b"], 9)
        await asyncio.sleep(0)
        assert [text.truncated for text in answer.texts] == [True, False]
    assert answer.hits == 2


async def test_a_failed_text_fails_its_request_and_is_not_cached(
    gateway: Gateway, model: Model
) -> None:
    with pytest.raises(InferenceFailed):
        await gateway.classify(["a", "poison"], 9)
    await asyncio.sleep(0)
    assert (await gateway.classify(["a"], 9)).hits == 1
    with pytest.raises(InferenceFailed):
        await gateway.classify(["poison"], 9)
    assert model.asked == [["a", "poison"], ["poison"]]


async def test_no_answer_in_time_is_a_deadline_exceeded(gateway: Gateway) -> None:
    with pytest.raises(DeadlineExceeded):
        await gateway.classify(["slow"], 0.01)


async def test_no_answer_in_time_and_no_replica_is_a_model_unavailable(
    gateway: Gateway, model: Model
) -> None:
    waiting = asyncio.create_task(gateway.classify(["slow"], 0.05))
    while not model.asked:
        await asyncio.sleep(0)
    model.available = False
    with pytest.raises(ModelUnavailable):
        await waiting


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


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let probes and silence last milliseconds."""
    monkeypatch.setattr(gateway_module, "PROBE_LIFETIME_S", 0.0)
    monkeypatch.setattr(gateway_module, "PROBE_WAIT_S", 0.001)
    monkeypatch.setattr(gateway_module, "PROBE_TIMEOUT_S", 0.01)


@pytest.mark.parametrize("fault", ["busy", "silent"])
@pytest.mark.usefixtures("impatient")
async def test_a_busy_model_is_ready_as_long_as_it_has_answered_lately(
    gateway: Gateway, model: Model, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await gateway.classify(["a"], 9)
    setattr(model, fault, True)
    assert (await gateway.readiness()).model == "ok"
    monkeypatch.setattr(gateway_module, "LONGEST_SILENCE_S", 0.0)
    assert (await gateway.readiness()).model == "unavailable"


@pytest.mark.usefixtures("impatient")
async def test_without_a_replica_nothing_is_merely_busy(
    gateway: Gateway, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    await gateway.classify(["a"], 9)
    model.silent = True
    monkeypatch.setattr(model, "replicas", lambda: 0)
    assert (await gateway.readiness()).model == "unavailable"


@pytest.mark.usefixtures("impatient")
async def test_a_model_that_never_answered_is_not_ready(gateway: Gateway, model: Model) -> None:
    model.silent = True
    assert (await gateway.readiness()).model == "unavailable"


async def test_a_probe_that_is_answered_late_tells_that_the_model_answers(
    gateway: Gateway, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_module, "PROBE_WAIT_S", 0.001)
    model.late_s = 0.02
    for _ in range(2):
        assert (await gateway.readiness()).model == "unavailable"
    await asyncio.sleep(2 * model.late_s)
    assert (await gateway.readiness()).model == "ok"
    assert model.asked == [[PROBE_TEXT]]


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


async def test_ready_asks_the_model_and_shares_the_probe(gateway: Gateway, model: Model) -> None:
    states = await asyncio.gather(*(gateway.readiness() for _ in range(5)))
    assert {(state.model, state.cache) for state in states} == {("ok", "off")}
    assert model.asked == [[PROBE_TEXT]]


async def test_a_model_that_has_just_answered_a_request_is_not_probed(
    gateway: Gateway, model: Model
) -> None:
    await gateway.classify(["a"], 9)
    assert (await gateway.readiness()).model == "ok"
    assert model.asked == [["a"]]


async def test_not_ready_without_a_model(gateway: Gateway, model: Model) -> None:
    model.available = False
    assert (await gateway.readiness()).model == "unavailable"


async def test_new_settings_apply_to_the_next_request(gateway: Gateway, model: Model) -> None:
    gateway.reconfigure(GatewaySettings(chunk_texts=1))
    await gateway.classify(["a", "b"], 9)
    assert model.asked == [["a"], ["b"]]


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
