"""How many tokens a classifier replica computes each second on a CPU like this machine's."""

import time
from typing import Final

from serve_app.engine.load import load
from serve_app.model.identity import ModelIdentity
from serve_app.settings import ClassifierSettings, EngineName

MEASURE_S: Final = 5.0


def tokens_per_second(model: ModelIdentity, engine: EngineName, tokens: int) -> float:
    """Run full batches in one thread for a few seconds of CPU time.

    CPU time, because what else this machine does is not to count: a replica has a CPU to itself.

    Args:
        model: A prepared model.
        engine: What runs it.
        tokens: Tokens in each text.

    Raises:
        ModelUnusable: The engine's files or packages are missing.
    """
    texts = max(1, ClassifierSettings().max_batch_tokens // tokens)
    batch = [[model.pad_id] * tokens] * texts
    loaded = load(model, engine, threads=1)
    passes = 0
    started = time.process_time()
    while (seconds := time.process_time() - started) < MEASURE_S:
        loaded.logits(batch)
        passes += 1
    return passes * texts * tokens / seconds
