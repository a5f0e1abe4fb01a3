import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from ray.serve._private.common import DeploymentID, ReplicaID
from ray.serve._private.config import DeploymentConfig
from ray.serve.context import _set_internal_replica_context

from serve_app.autoscaling.replica_stats import PER_CHAR, RATE, WAITING
from serve_app.errors import DeadlineExceeded, ModelUnusable, RevisionMismatch
from serve_app.model.store import ModelIdentity
from serve_app.ray_serve.classifier import INLINE_CHARS, Classifier
from serve_app.settings import EngineName

pytest.importorskip("torch")


@pytest.fixture
async def classifier(model: ModelIdentity) -> AsyncIterator[Classifier]:
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
    wrapper(opened).queue._handle_batch_task = None
    wrapper(opened)._queue = None


class NoRows:
    """Returns no scores, whatever it is given."""

    name: EngineName = "torch"

    def logits(self, token_ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        return np.empty((0, 2), dtype=np.float32)


class Hanging:
    """Does not return before it is told to."""

    name: EngineName = "torch"

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def logits(self, token_ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        self.go_on.wait()
        return np.zeros((len(token_ids), 2), dtype=np.float32)


def wrapper(classifier: Classifier) -> Any:
    return classifier._queue._is_batching_task_alive.__self__


async def end_batch_loop(classifier: Classifier) -> None:
    loop = wrapper(classifier).queue._handle_batch_task
    loop.cancel()
    await asyncio.wait([loop])


async def test_calls_that_come_together_are_answered_each_with_its_own(
    classifier: Classifier,
) -> None:
    texts = [["the film was good"], ["i hate it", "very slow"], ["", "bad " * INLINE_CHARS]]
    together = await asyncio.gather(*(classifier.classify(call, 60) for call in texts))
    assert [len(reply.texts) for reply in together] == [1, 2, 2]
    for call, reply in zip(texts, together, strict=True):
        alone = await classifier.classify(call, 60)
        for one, other in zip(reply.texts, alone.texts, strict=True):
            assert one is not None
            assert other is not None
            assert one.logits == pytest.approx(other.logits, abs=1e-5)
    last = together[2].texts[1]
    assert last is not None
    assert last.truncated


async def test_a_call_past_its_deadline_is_refused(classifier: Classifier) -> None:
    with pytest.raises(DeadlineExceeded):
        await classifier.classify(["good"], 0)


async def test_texts_of_a_caller_who_left_are_not_computed(classifier: Classifier) -> None:
    def waiting(tokens: int) -> int:
        queue = classifier._scheduler._waiting
        return sum(len(w.tokens.ids) == tokens and not w.result.done() for w in queue)

    busy = asyncio.create_task(classifier.classify(["it " * 60] * 64, 60))
    gone = asyncio.create_task(classifier.classify(["good " * 30] * 64, 60))
    while waiting(32) < 64:
        await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    assert waiting(32) == 0
    assert len((await busy).texts) == 64


async def test_batch_parameters_change_live(classifier: Classifier) -> None:
    await classifier.classify(["good"], 60)
    classifier.reconfigure({"max_batch_requests": 3, "batch_wait_s": 0.01, "max_batch_tokens": 7})
    queue = wrapper(classifier).queue
    assert (queue.max_batch_size, queue.batch_wait_timeout_s) == (3, 0.01)
    assert classifier._scheduler.max_batch_tokens == 7
    assert len((await classifier.classify(["good", "bad", "slow"], 60)).texts) == 3


async def test_a_replica_publishes_its_work_in_tokens(classifier: Classifier) -> None:
    assert await classifier.record_autoscaling_stats() == {WAITING: 0}
    # "[CLS] good [SEP]": three tokens a text.
    calls = [asyncio.create_task(classifier.classify(["good"] * 3, 60)) for _ in range(4)]
    while not (waiting := (await classifier.record_autoscaling_stats())[WAITING]):
        await asyncio.sleep(0)
    assert waiting <= 36
    await asyncio.gather(*calls)
    assert (await classifier.record_autoscaling_stats())[PER_CHAR] == 3 / len("good")
    for length in range(1, 9):
        await classifier.classify(["good " * length], 60)
    done = await classifier.record_autoscaling_stats()
    assert done[WAITING] == 0
    assert done[RATE] > 0


async def test_a_dead_batch_loop_is_noticed(classifier: Classifier) -> None:
    await classifier.check_health()
    await end_batch_loop(classifier)
    with pytest.raises(RuntimeError, match="batch loop is dead"):
        await classifier.check_health()


async def test_a_loop_that_feeds_the_engine_and_dies_is_noticed(classifier: Classifier) -> None:
    await classifier.classify(["good"], 60)
    await classifier.check_health()
    # Another number of rows than texts: no engine of ours does that, and no code expects it.
    engine = classifier._scheduler._engine
    classifier._scheduler._engine = NoRows()
    lost = asyncio.create_task(classifier.classify(["lost"], 60))
    while not classifier._scheduler.died:
        await asyncio.sleep(0.001)
    lost.cancel()
    classifier._scheduler._engine = engine
    assert len((await classifier.classify(["good"], 60)).texts) == 1
    with pytest.raises(RuntimeError, match="the loop that feeds the engine died"):
        await classifier.check_health()


async def test_an_engine_that_never_returns_is_noticed(classifier: Classifier) -> None:
    classifier.reconfigure({"hang_timeout_s": 0.05})
    await classifier.check_health()
    classifier._scheduler._engine = hanging = Hanging()
    call = asyncio.create_task(classifier.classify(["good"], 60))
    with pytest.raises(RuntimeError, match="the engine hangs"):
        while True:
            await classifier.check_health()
            await asyncio.sleep(0.01)
    hanging.go_on.set()
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
        "print(classifier._tokenizer.encode(['good'])[0].ids)\n"
        "print(sorted({'torch', 'transformers', 'onnx'} & set(sys.modules)))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", replica], capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines()[-1] == "[]"


async def test_a_replica_scores_nothing_as_another_model_than_its_own(
    classifier: Classifier, model: ModelIdentity
) -> None:
    assert len((await classifier.classify_as(model.digest, ["good"], 60)).texts) == 1
    with pytest.raises(RevisionMismatch):
        await classifier.classify_as("digest of another", ["good"], 60)
