"""The model as an autoscaled Ray Serve deployment."""

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from ray import serve

from serve_app.autoscaling import classifier_stats
from serve_app.classifier.scheduler import BatchScheduler, ForwardPass, QueuedText
from serve_app.engine.engine import load_engine
from serve_app.engine.tokenizer import Tokenizer
from serve_app.errors import ModelUnusable, RevisionMismatch
from serve_app.model.config import Transform
from serve_app.model.parity import probabilities
from serve_app.model.store import resolve
from serve_app.ray_serve.metrics import EXPORT_S, RayMetricSink, run_periodically
from serve_app.scores import CallReply
from serve_app.settings import DEFAULT_COST, ClassifierSettings, EngineName, SimulatedCost
from serve_app.telemetry import metrics
from serve_app.telemetry.logs import LogForm, configure
from serve_app.telemetry.metrics import MetricSink, follow_tasks
from serve_app.telemetry.tracing import origin, shared_span

logger = logging.getLogger("serve_app.classifier")

# Tokenizing more characters than this would hold up the replica's event loop for milliseconds.
MAX_INLINE_CHARS: Final = 4096
# A model's further labels are counted as one, so that its series stay few.
MAX_LABELS: Final = 20
OTHER: Final = "other"


class Classifier:
    """A replica: tokenizes texts, batches them over all its calls and runs the engine.

    The gateway's cache keys are built from the digest: `ModelUnusable` is raised where the model
    that `resolve` finds at `source` has another one. Logging stays as it is without a `log_form`.
    """

    def __init__(
        self,
        source: str,
        digest: str,
        engine: EngineName,
        simulated: SimulatedCost = DEFAULT_COST,
        log_form: LogForm | None = None,
    ) -> None:
        if log_form:
            configure(log_form)
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        model = resolve(source)
        if model.digest != digest:
            raise ModelUnusable(
                f"{source} has digest {model.digest} on this node, the gateway expects {digest}",
                "give every node the same model",
            )
        # Ray sets this to the CPUs that the replica was given, at least one.
        threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
        self._digest = digest
        # The simulated engine needs no exact tokens, and no transformers to make them.
        plain = model.path / "tokenizer.json" if engine == "simulated" else None
        self._tokenizer = Tokenizer(model, plain)
        self._settings = ClassifierSettings()
        # Ray types it by its batches, not by its calls.
        self._queue: Any = self._batch
        self._metrics = sink = RayMetricSink()
        self._scheduler = scheduler = BatchScheduler(
            load_engine(model, engine, threads=threads, simulated=simulated),
            self._settings.max_batch_tokens,
            forward_pass_recorder(model.labels, sink, model.transform),
        )
        sink.follow(metrics.WAITING_TEXTS, lambda: scheduler.waiting)
        sink.follow(metrics.ABANDONED_TEXTS, lambda: scheduler.left, "left")
        sink.follow(metrics.ABANDONED_TEXTS, lambda: scheduler.late, "deadline")
        sink.follow(metrics.FAILED_TEXTS, lambda: scheduler.failed)
        follow_tasks(sink)
        run_periodically(EXPORT_S, sink.flush)
        logger.info("%s %s ready on %s", model.model_id, model.revision, engine)

    def reconfigure(self, user_config: dict[str, object]) -> None:
        """Apply new tunables without a restart."""
        self._settings = settings = ClassifierSettings.model_validate(user_config)
        self._scheduler.max_batch_tokens = settings.max_batch_tokens
        self._queue.set_max_batch_size(settings.max_batch_requests)
        self._queue.set_batch_wait_timeout_s(settings.batch_wait_s)

    async def classify_as(
        self, digest: str, texts: list[str], within_s: float, sizes: Sequence[int] = ()
    ) -> CallReply:
        """Score at least one text, or raise `DeadlineExceeded` after so many seconds.

        Raises `RevisionMismatch` if the caller expects another model: while one is replaced in
        place, gateways of one revision reach classifiers of the other and would cache its scores.
        `sizes` are the characters of each text's request; empty if unknown.
        """
        if digest != self._digest:
            raise RevisionMismatch("This replica serves another revision of the model.")
        deadline = time.monotonic() + within_s
        started = time.perf_counter()
        if sum(map(len, texts)) > MAX_INLINE_CHARS:
            tokens = await asyncio.to_thread(self._tokenizer.encode, texts)
        else:
            tokens = self._tokenizer.encode(texts)
        self._metrics.observe(metrics.TOKENIZE_SECONDS, time.perf_counter() - started)
        self._scheduler.throughput.observe_texts(texts, sum(len(each.ids) for each in tokens))
        loop, arrived, caller = asyncio.get_running_loop(), time.monotonic(), origin()
        queued = [
            QueuedText(each, deadline, arrived, loop.create_future(), caller, size)
            for each, size in zip(tokens, sizes or [0] * len(tokens), strict=True)
        ]
        try:
            # Positional: a keyword call can kill the batch loop, see check_health.
            await self._queue(queued)
            scored = await asyncio.gather(*(each.result for each in queued))
        finally:
            # What nobody waits for any more is not computed; what is done stays done.
            for each in queued:
                each.result.cancel()
        return CallReply(
            logits=[each.logits if each else None for each in scored],
            queue_ms=max((each.queue_ms for each in scored if each), default=0.0),
            inference_ms=max((each.inference_ms for each in scored if each), default=0.0),
        )

    # Ray seals a batch before the engine is free. So this one joins the calls that wait, and the
    # scheduler forms the batches that the model computes. Waiting here for the scores would seal
    # the calls that arrive meanwhile into small batches, tie a short call to the longest of its
    # batch, and hide from the scheduler that a caller has left.
    @serve.batch
    async def _batch(self, calls: list[list[QueuedText]]) -> list[None]:
        self._scheduler.submit(chain.from_iterable(calls))
        return [None] * len(calls)

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Publish the tokens that wait, and how many are done each second; Serve asks."""
        # A coroutine, since Serve gives a plain method a new thread each time.
        scheduler = self._scheduler
        return classifier_stats(
            waiting=scheduler.pending_tokens,
            rate=scheduler.throughput.tokens_per_s(scheduler.max_batch_tokens),
            tokens_per_char=scheduler.throughput.tokens_per_char,
        )

    async def check_health(self) -> None:
        """Raise when a loop is dead or the engine hangs, so that Serve replaces this replica.

        The loop of `@serve.batch` can die without a trace, after which every call hangs:
        https://github.com/ray-project/ray/issues/66140.
        """
        if not await self._queue._is_batching_task_alive():
            raise RuntimeError("the batch loop is dead")
        if self._scheduler.died:
            raise RuntimeError("the loop that feeds the engine died")
        if self._scheduler.pass_age_s > self._settings.hang_timeout_s:
            raise RuntimeError(f"the engine hangs for {self._scheduler.pass_age_s:.0f} s")


def forward_pass_recorder(
    labels: Sequence[str], sink: MetricSink, transform: Transform
) -> Callable[[ForwardPass], None]:
    """Return what records forward passes in metrics, and in the traces of their callers."""
    names = [label if i < MAX_LABELS else OTHER for i, label in enumerate(labels)]

    def record(forward_pass: ForwardPass) -> None:
        lengths, queue_s, inference_s, logits, origins = forward_pass
        texts, tokens = len(lengths), sum(lengths)
        padding = max(lengths) * texts - tokens
        sink.observe(metrics.QUEUE_SECONDS, queue_s)
        sink.observe(metrics.INFERENCE_SECONDS, inference_s)
        sink.observe(metrics.BATCH_TEXTS, texts)
        sink.observe(metrics.BATCH_TOKENS, tokens + padding)
        sink.count(metrics.TOKENS, tokens, "text")
        sink.count(metrics.TOKENS, padding, "padding")
        for (label, tenths), count in count_predictions(logits, transform).items():
            sink.count(metrics.PREDICTIONS, count, names[label], f"{tenths / 10:.1f}")
        callers = list({origin.span_id: origin for origin in origins if origin}.values())
        shared_span("inference", callers, inference_s, texts=texts, tokens=tokens, padding=padding)

    return record


def count_predictions(
    logits: NDArray[np.float32], transform: Transform
) -> Counter[tuple[int, int]]:
    """Count texts by index of the predicted label and by its probability, in tenths rounded up.

    The logits are of shape [texts, labels]; texts with one that is not finite do not count.
    """
    finite = logits[np.isfinite(logits).all(axis=1)]
    highest = probabilities(finite, transform).max(axis=1)
    tenths = np.ceil(highest * 10).astype(int)
    return Counter(zip(finite.argmax(axis=1).tolist(), tenths.tolist(), strict=True))
