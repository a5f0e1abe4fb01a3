import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from ray.serve._private.common import DeploymentID, ReplicaID
from ray.serve._private.config import DeploymentConfig
from ray.serve.context import _set_internal_replica_context

from serve_app.autoscaling import PER_CHAR, RATE, WAITING
from serve_app.engine.engine import Engine, load_engine
from serve_app.errors import DeadlineExceeded, ModelUnusable, RevisionMismatch
from serve_app.model.store import ModelIdentity
from serve_app.ray_serve import classifier as module
from serve_app.ray_serve.classifier import MAX_INLINE_CHARS, Classifier
from serve_app.scores import CallReply
from serve_app.settings import EngineName

pytest.importorskip("torch")

Classify = Callable[..., Awaitable[CallReply]]


class ControlledEngine:
    """The torch engine, which records its batches and can hang or lose results."""

    name: EngineName = "torch"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.go_on = threading.Event()
        self.go_on.set()
        self.loses_results = False
        self.batches: list[list[int]] = []

    def logits(self, token_ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        self.batches.append([len(ids) for ids in token_ids])
        self.go_on.wait()
        if self.loses_results:
            return np.empty((0, 2), dtype=np.float32)
        return self._engine.logits(token_ids)


@pytest.fixture
def engine(model: ModelIdentity, monkeypatch: pytest.MonkeyPatch) -> ControlledEngine:
    controlled = ControlledEngine(load_engine(model, "torch", threads=1))
    monkeypatch.setattr(module, "load_engine", lambda *_, **__: controlled)
    return controlled


@pytest.fixture
async def classifier(model: ModelIdentity, engine: ControlledEngine) -> AsyncIterator[Classifier]:
    # `@serve.batch` asks for the context that a replica has, as Ray's own unit tests do.
    context: dict[str, Any] = {
        "replica_id": ReplicaID(unique_id="test", deployment_id=DeploymentID(name="test")),
        "servable_object": None,
        "_deployment_config": DeploymentConfig(max_ongoing_requests=1024),
        "rank": 0,
        "world_size": 1,
    }
    _set_internal_replica_context(**context)
    opened = Classifier(str(model.path), model.digest, "torch")
    opened.reconfigure({"max_batch_requests": 4})
    yield opened
    # Ray keeps one batch queue a class, bound to the event loop that used it first. With a task
    # to end, the queue's destructor would open an event loop that nobody closes.
    await end_batch_loop(opened)
    rays_wrapper(opened).queue._handle_batch_task = None
    rays_wrapper(opened)._queue = None


@pytest.fixture
def classify(classifier: Classifier, model: ModelIdentity) -> Classify:
    async def call(texts: list[str], within_s: float = 60) -> CallReply:
        return await classifier.classify_as(model.digest, texts, within_s)

    return call


def rays_wrapper(classifier: Classifier) -> Any:
    return classifier._queue._is_batching_task_alive.__self__


async def end_batch_loop(classifier: Classifier) -> None:
    loop = rays_wrapper(classifier).queue._handle_batch_task
    loop.cancel()
    await asyncio.wait([loop])


async def waiting_tokens(classifier: Classifier) -> float:
    await asyncio.sleep(0)
    return (await classifier.record_autoscaling_stats())[WAITING]


async def test_calls_that_come_together_are_answered_each_with_its_own(
    classify: Classify,
) -> None:
    texts = [["the film was good"], ["i hate it", "very slow"], ["", "bad " * MAX_INLINE_CHARS]]
    together = await asyncio.gather(*(classify(call) for call in texts))
    assert [len(reply.logits) for reply in together] == [1, 2, 2]
    for call, reply in zip(texts, together, strict=True):
        alone = await classify(call)
        for one, other in zip(reply.logits, alone.logits, strict=True):
            assert one is not None
            assert other is not None
            assert one.logits == pytest.approx(other.logits, abs=1e-5)
    last = together[2].logits[1]
    assert last is not None
    assert last.truncated


async def test_a_call_past_its_deadline_is_refused(classify: Classify) -> None:
    with pytest.raises(DeadlineExceeded):
        await classify(["good"], 0)


async def test_texts_of_a_caller_who_left_are_not_computed(
    classifier: Classifier, classify: Classify, engine: ControlledEngine
) -> None:
    engine.go_on.clear()
    busy = asyncio.ensure_future(classify(["it " * 60] * 64))
    while not engine.batches:
        await asyncio.sleep(0.001)
    before = await waiting_tokens(classifier)
    gone = asyncio.ensure_future(classify(["good " * 30] * 64))
    while await waiting_tokens(classifier) < before + 64 * 32:
        pass
    gone.cancel()
    await asyncio.wait([gone])
    assert await waiting_tokens(classifier) == before
    engine.go_on.set()
    assert len((await busy).logits) == 64
    assert not [batch for batch in engine.batches if 32 in batch]


async def test_batch_parameters_change_live(
    classifier: Classifier, classify: Classify, engine: ControlledEngine
) -> None:
    await classify(["good"])
    classifier.reconfigure({"max_batch_requests": 3, "batch_wait_s": 0.01, "max_batch_tokens": 7})
    queue = rays_wrapper(classifier).queue
    assert (queue.max_batch_size, queue.batch_wait_timeout_s) == (3, 0.01)
    assert len((await classify(["good", "bad", "slow"])).logits) == 3
    # "[CLS] good [SEP]": three tokens a text.
    assert engine.batches == [[3], [3, 3], [3]]


async def test_a_replica_publishes_its_work_in_tokens(
    classifier: Classifier, classify: Classify, engine: ControlledEngine
) -> None:
    assert await classifier.record_autoscaling_stats() == {WAITING: 0}
    engine.go_on.clear()
    calls = [asyncio.ensure_future(classify(["good"] * 3)) for _ in range(4)]
    # "[CLS] good [SEP]": three tokens a text.
    while await waiting_tokens(classifier) < 36:
        pass
    assert await waiting_tokens(classifier) == 36
    engine.go_on.set()
    await asyncio.gather(*calls)
    assert (await classifier.record_autoscaling_stats())[PER_CHAR] == 3 / len("good")
    for length in range(1, 9):
        await classify(["good " * length])
    done = await classifier.record_autoscaling_stats()
    assert done[WAITING] == 0
    assert done[RATE] > 0


async def test_a_dead_batch_loop_is_noticed(classifier: Classifier) -> None:
    await classifier.check_health()
    await end_batch_loop(classifier)
    with pytest.raises(RuntimeError, match="batch loop is dead"):
        await classifier.check_health()


async def test_a_loop_that_feeds_the_engine_and_dies_is_noticed(
    classifier: Classifier, classify: Classify, engine: ControlledEngine
) -> None:
    await classify(["good"])
    await classifier.check_health()
    # Another number of rows than texts: no engine of ours does that, and no code expects it.
    engine.loses_results = True
    lost = asyncio.ensure_future(classify(["lost"]))
    with pytest.raises(RuntimeError, match="the loop that feeds the engine died"):
        while True:
            await classifier.check_health()
            await asyncio.sleep(0.001)
    lost.cancel()
    engine.loses_results = False
    assert len((await classify(["good"])).logits) == 1
    with pytest.raises(RuntimeError, match="the loop that feeds the engine died"):
        await classifier.check_health()


async def test_an_engine_that_never_returns_is_noticed(
    classifier: Classifier, classify: Classify, engine: ControlledEngine
) -> None:
    classifier.reconfigure({"hang_timeout_s": 0.05})
    await classifier.check_health()
    engine.go_on.clear()
    call = asyncio.ensure_future(classify(["good"]))
    with pytest.raises(RuntimeError, match="the engine hangs"):
        while True:
            await classifier.check_health()
            await asyncio.sleep(0.01)
    engine.go_on.set()
    await call
    await classifier.check_health()


def test_a_replica_refuses_a_model_that_the_gateway_does_not_know(model: ModelIdentity) -> None:
    with pytest.raises(ModelUnusable, match="the gateway expects 0123"):
        Classifier(str(model.path), "0123", "torch")


def test_an_onnx_replica_imports_neither_torch_nor_transformers(
    model_directory: Path, cache_dir: Path
) -> None:
    prepare = [sys.executable, "-m", "serve_app.cli", "model", "prepare", str(model_directory)]
    subprocess.run(prepare, check=True, capture_output=True)
    replica = (
        "import asyncio, sys\n"
        "from serve_app.ray_serve.gateway import GatewayIngress\n"
        "from serve_app.ray_serve.classifier import Classifier\n"
        "from serve_app.model.store import resolve\n"
        f"model = resolve({str(model_directory)!r})\n"
        "async def start(): return Classifier(str(model.path), model.digest, 'onnx-fp32')\n"
        "classifier = asyncio.run(start())\n"
        "print(sorted({'torch', 'transformers', 'onnx'} & set(sys.modules)))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", replica], capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines()[-1] == "[]"


async def test_a_replica_scores_nothing_as_another_model_than_its_own(
    classifier: Classifier,
) -> None:
    with pytest.raises(RevisionMismatch):
        await classifier.classify_as("digest of another", ["good"], 60)
