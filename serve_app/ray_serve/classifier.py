"""The model as an autoscaled Ray Serve deployment."""

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

from ray import serve

from serve_app.classifier.observability import PassMetrics, follow_scheduler, trace_pass
from serve_app.classifier.scheduler import Job, Scheduler, Scored
from serve_app.engine.load import load
from serve_app.engine.tokenizer import Tokenizer
from serve_app.errors import InferenceFailed, ModelUnusable, RevisionMismatch
from serve_app.model.store import resolve
from serve_app.ray_serve.metrics import EXPORT_S, RayMetricSink, run_periodically
from serve_app.scores import CallReply
from serve_app.settings import DEFAULT_COST, ClassifierSettings, EngineName, SimulatedCost
from serve_app.telemetry.logs import LogForm, configure
from serve_app.telemetry.metrics import TOKENIZE_SECONDS, follow_tasks
from serve_app.telemetry.tracing import origin

logger = logging.getLogger("serve_app.classifier")

# Tokenizing more characters than this would hold up the replica's event loop for milliseconds.
INLINE_CHARS: Final = 4096


class Classifier:
    """Tokenizes texts, batches them over all calls of the replica and runs the engine.

    Args:
        source: Where the model comes from; see `serve_app.model.store.resolve`.
        digest: The digest that the gateway's cache keys are built from.
        engine: What runs the model.
        simulated: What a pass costs where the engine is the simulated one.
        log_form: Form of what is logged; None leaves logging as it is.

    Raises:
        ModelUnusable: The model is missing or is not the one that the gateway knows.
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
        self._meters = RayMetricSink()
        self._scheduler = Scheduler(
            load(model, engine, threads=threads, simulated=simulated),
            self._settings.max_batch_tokens,
            [PassMetrics(model.labels, self._meters, model.transform), trace_pass],
        )
        follow_scheduler(self._meters, self._scheduler)
        follow_tasks(self._meters)
        run_periodically(EXPORT_S, self._meters.flush)
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
        """Score one chunk of texts, unless another model than this one is asked for.

        While a model is replaced in place, gateways of one revision reach classifiers of the
        other, whose scores they would give out, and cache, as their own.

        Args:
            digest: The model's that is asked for.
            texts: At least one text.
            within_s: Seconds after which the caller no longer waits.
            sizes: How many characters the request of each text has; unknown where it is empty.

        Raises:
            RevisionMismatch: This replica serves another model.
            DeadlineExceeded: Not all texts could be scored in time.
        """
        if digest != self._digest:
            raise RevisionMismatch("this replica serves another revision of the model")
        return await self.classify(texts, within_s, sizes)

    async def classify(
        self, texts: list[str], within_s: float, sizes: Sequence[int] = ()
    ) -> CallReply:
        """Score one chunk of texts.

        Args:
            texts: At least one text.
            within_s: Seconds after which the caller no longer waits.
            sizes: How many characters the request of each text has; unknown where it is empty.

        Raises:
            DeadlineExceeded: Not all texts could be scored in time.
        """
        deadline = time.monotonic() + within_s
        started = time.perf_counter()
        if sum(map(len, texts)) > INLINE_CHARS:
            tokens = await asyncio.to_thread(self._tokenizer.encode, texts)
        else:
            tokens = self._tokenizer.encode(texts)
        self._meters.observe(TOKENIZE_SECONDS, time.perf_counter() - started)
        self._scheduler.workload.arrive(texts, tokens)
        loop = asyncio.get_running_loop()
        arrived = time.monotonic()
        caller = origin()
        jobs = [
            Job(text, deadline, arrived, loop.create_future(), caller, size)
            for text, size in zip(tokens, sizes or [0] * len(tokens), strict=True)
        ]
        try:
            # Positional: a keyword call can kill the batch loop, see check_health.
            await self._queue(jobs)
            results = await asyncio.gather(*(job.result for job in jobs), return_exceptions=True)
        finally:
            # What nobody waits for any more is not computed; what is done stays done.
            for job in jobs:
                job.result.cancel()
        return _reply(results)

    @property
    def _queue(self) -> Any:
        """The batched method, which Ray types by its batches, not by its calls."""
        return self._batch

    @serve.batch
    async def _batch(self, calls: list[list[Job]]) -> list[None]:
        """Hand a batch of calls to the scheduler, and go on to the next batch at once.

        Waiting here would seal the calls that arrive meanwhile into small batches, tie a short
        call to the longest of its batch, and hide from the scheduler that a caller has left.
        """
        self._scheduler.submit(chain.from_iterable(calls))
        return [None] * len(calls)

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Publish the tokens that wait, and how many are done each second; Serve asks.

        A coroutine, since Serve gives a plain method a new thread each time.
        """
        return self._scheduler.workload.stats(
            self._scheduler.pending_tokens, self._scheduler.max_batch_tokens
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


def _reply(results: Sequence[Scored | BaseException]) -> CallReply:
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, InferenceFailed):
            raise result
    scored = [result if isinstance(result, Scored) else None for result in results]
    return CallReply(
        texts=[result.logits if result else None for result in scored],
        queue_ms=max((result.queue_ms for result in scored if result), default=0.0),
        inference_ms=max((result.inference_ms for result in scored if result), default=0.0),
    )
