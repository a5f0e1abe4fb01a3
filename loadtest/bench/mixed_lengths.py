"""What texts of mixed lengths cost together, beside what each costs alone."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from serve_app.classifier.scheduler import BatchScheduler, QueuedText
from serve_app.engine.engine import Engine, load_engine
from serve_app.engine.tokenizer import Tokens
from serve_app.model.store import resolve
from serve_app.settings import ClassifierSettings, EngineName

SHORTEST: Final = 8
LONGEST: Final = 512
TEXTS: Final = 24
ROUNDS: Final = 3
# Ids of ordinary words in BERT's vocabulary, of which the cost is independent.
WORD_IDS: Final = (1000, 20000)


class MixedLengths(NamedTuple):
    """Medians over rounds in which the two alternate.

    Attributes:
        lengths: Tokens of each text.
        together_s: Time of all texts through the classifier's scheduler at once.
        alone_s: Sum of their times one by one.
    """

    lengths: list[int]
    together_s: float
    alone_s: float


def mixed_lengths(source: str, name: EngineName, max_batch_tokens: int) -> MixedLengths:
    """Measure on one thread."""
    random = np.random.default_rng(0)
    lengths = np.geomspace(SHORTEST, LONGEST, TEXTS).round().astype(int)
    random.shuffle(lengths)
    token_ids = [random.integers(*WORD_IDS, length).tolist() for length in lengths]
    engine = load_engine(resolve(source), name, threads=1)
    together, alone = [], []
    for _ in range(ROUNDS):
        alone.append(sum(_seconds(engine, [ids], max_batch_tokens) for ids in token_ids))
        together.append(_seconds(engine, token_ids, max_batch_tokens))
    return MixedLengths(lengths.tolist(), statistics.median(together), statistics.median(alone))


def _seconds(engine: Engine, token_ids: Sequence[list[int]], max_batch_tokens: int) -> float:
    async def scored() -> float:
        scheduler = BatchScheduler(engine, max_batch_tokens)
        loop, started = asyncio.get_running_loop(), time.monotonic()
        deadline = started + ClassifierSettings().hang_timeout_s
        queued = [
            QueuedText(Tokens(ids, False), deadline, started, loop.create_future())
            for ids in token_ids
        ]
        scheduler.submit(queued)
        await asyncio.gather(*(each.result for each in queued))
        return time.monotonic() - started

    return asyncio.run(scored())
