"""How fast the engine is with nothing around it: no HTTP, no Ray, no cache."""

import multiprocessing
import os
import time
from collections.abc import Sequence
from itertools import islice
from multiprocessing.synchronize import Barrier
from queue import Queue
from typing import Final, NamedTuple

from loadtest.bench.texts import Texts
from loadtest.machine import cores
from serve_app.engine.engine import Engine, load_engine
from serve_app.engine.tokenizer import Tokenizer
from serve_app.model.store import resolve
from serve_app.settings import EngineName

BATCHES: Final = (1, 8, 16, 32)
# Texts are sorted by length within this many, as far as a server could ever see ahead.
WINDOW: Final = 256
START_TIMEOUT_S: Final = 60.0
WARM_UP_S: Final = 0.5


class Variant(NamedTuple):
    """One way to use all cores, and how many texts a second it gives."""

    processes: int
    threads: int
    batch: int
    texts_s: float


class EngineLimit(NamedTuple):
    """What no server around this engine can exceed on this machine.

    Attributes:
        variants: All that was tried.
        one_text_ms: Median time of one text alone, on one thread, tokenizing included.
    """

    variants: list[Variant]
    one_text_ms: float

    @property
    def texts_s(self) -> float:
        """Texts a second of the best variant."""
        return max(variant.texts_s for variant in self.variants)


class _Arrangement(NamedTuple):
    """Processes of so many threads, and the sizes of batch that they run through in turn."""

    processes: int
    threads: int
    batches: Sequence[int]


def engine_limit(model: str, engine: EngineName, seconds: float) -> EngineLimit:
    """Run the engine over unique texts on all cores, in every arrangement."""
    variants = [
        Variant(processes, threads, batch, texts_s)
        for processes, threads in dict.fromkeys([(cores(), 1), (1, cores())])
        for batch, texts_s in zip(
            BATCHES,
            _measured(_Arrangement(processes, threads, BATCHES), model, engine, seconds),
            strict=True,
        )
    ]
    (alone,) = _measured(_Arrangement(1, 1, (1,)), model, engine, seconds)
    return EngineLimit(variants, 1000 / alone)


def _measured(
    arrangement: _Arrangement, model: str, engine: EngineName, seconds: float
) -> list[float]:
    """Return texts a second of all processes together, for each size of batch."""
    context = multiprocessing.get_context("spawn")
    barrier, found = context.Barrier(arrangement.processes), context.Queue()
    workers = [
        context.Process(
            target=_work, args=(seed, arrangement, model, engine, seconds, barrier, found)
        )
        for seed in range(arrangement.processes)
    ]
    for worker in workers:
        worker.start()
    limit_s = START_TIMEOUT_S + len(arrangement.batches) * (seconds + WARM_UP_S)
    try:
        speeds = [found.get(timeout=limit_s) for _ in workers]
        return [sum(each) for each in zip(*speeds, strict=True)]
    finally:
        for worker in workers:
            worker.join(timeout=START_TIMEOUT_S)
            worker.kill()


def _work(  # noqa: PLR0917 - a process takes positional arguments alone
    seed: int,
    arrangement: _Arrangement,
    source: str,
    name: EngineName,
    seconds: float,
    barrier: Barrier,
    found: "Queue[list[float]]",
) -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    model, texts = resolve(source), Texts(seed)
    tokenizer, engine = Tokenizer(model), load_engine(model, name, threads=arrangement.threads)
    speeds = []
    for batch in arrangement.batches:
        barrier.wait(START_TIMEOUT_S)
        _texts_s(engine, tokenizer, texts, batch, WARM_UP_S)
        speeds.append(_texts_s(engine, tokenizer, texts, batch, seconds))
    found.put(speeds)


def _texts_s(
    engine: Engine, tokenizer: Tokenizer, texts: Texts, batch: int, seconds: float
) -> float:
    unique, done = texts.unique(), 0
    window = WINDOW if batch > 1 else 1
    started = time.perf_counter()
    while True:
        token_ids = [tokens.ids for tokens in tokenizer.encode(list(islice(unique, window)))]
        token_ids.sort(key=len)
        for start in range(0, window, batch):
            engine.logits(token_ids[start : start + batch])
            done += batch
            if (elapsed := time.perf_counter() - started) >= seconds:
                return done / elapsed
