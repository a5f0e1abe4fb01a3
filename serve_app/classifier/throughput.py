"""Throughput of a replica, in tokens a second, for the autoscaling policy."""

from collections.abc import Sequence
from typing import Final

import numpy as np

# Texts of the last hundred thousand characters count in full, older ones less and less.
MEMORY_CHARS: Final = 100_000
# Batches of half a minute of computing count in full, older ones less and less.
MEMORY_S: Final = 30.0
# The first batches fill caches, often while other replicas start beside them.
IGNORED_BATCHES: Final = 3
MIN_BATCHES: Final = 3
# A clock may not tell a shorter batch from nothing.
MIN_BATCH_S: Final = 1e-6
# A batch that takes longer than this times what batches of its size took has stalled, for want of
# a CPU for example. It counts as this much, so that a slower replica is learnt all the same.
MAX_STALL: Final = 2.0
# Lengths must vary by a tenth before their influence can be told from noise.
MIN_VARIATION: Final = 0.1


class ThroughputEstimator:
    """Estimates of the tokens in a character and of the tokens that full batches do a second.

    The rate comes from a fit of `seconds = fixed + per_token * tokens`: a batch has a fixed cost,
    so that small batches say little about the load that a replica can carry. Least squares, with
    weights that decay with the time in which the engine computes; idle time changes nothing.
    """

    def __init__(self) -> None:
        self._tokens = self._chars = 0.0
        self._batches = -IGNORED_BATCHES
        # Weighted sums of 1, tokens, seconds, tokens², tokens * seconds over batches.
        self._sums = np.zeros(5)
        # Weighted sums of 1 and tokens over full batches.
        self._full_sums = np.zeros(2)

    @property
    def tokens_per_char(self) -> float | None:
        """Tokens in a character of the latest texts; None before the first one."""
        return self._tokens / self._chars if self._chars else None

    def tokens_per_s(self, max_tokens: int) -> float | None:
        """Return the positive rate at full batches, `max_tokens` by default; None before a few."""
        if self._batches < MIN_BATCHES:
            return None
        full_batches, full_tokens = self._full_sums.tolist()
        full = round(full_tokens / full_batches) if full_batches >= MIN_BATCHES else max_tokens
        fixed, per_token = self._fit()
        return full / (fixed + per_token * full)

    def observe_texts(self, texts: Sequence[str], tokens: int) -> None:
        """Learn from the texts of one call, which have so many tokens together."""
        chars = sum(map(len, texts))
        kept = max(0.0, 1 - chars / MEMORY_CHARS)
        self._chars = kept * self._chars + chars
        self._tokens = kept * self._tokens + tokens

    def observe_batch(self, tokens: int, seconds: float, *, full: bool) -> None:
        """Learn from one batch of one token or more, padding excluded.

        It is full when at least as many tokens as fit a batch were left waiting.
        """
        self._batches += 1
        if self._batches <= 0:
            return
        if self._batches > MIN_BATCHES:
            fixed, per_token = self._fit()
            seconds = min(seconds, MAX_STALL * (fixed + per_token * tokens))
        seconds = max(seconds, MIN_BATCH_S)
        kept = max(0.0, 1 - seconds / MEMORY_S)
        self._sums = kept * self._sums + (1, tokens, seconds, tokens * tokens, tokens * seconds)
        self._full_sums = kept * self._full_sums + (full, full * tokens)

    def _fit(self) -> tuple[float, float]:
        """Return the fixed cost of a batch and the cost of a token, both at least zero seconds."""
        weight, *sums = self._sums.tolist()
        tokens, seconds, squares, products = (each / weight for each in sums)
        variance = squares - tokens**2
        if variance <= (MIN_VARIATION * tokens) ** 2:
            return 0.0, seconds / tokens
        covariance = products - tokens * seconds
        per_token = min(max(0.0, covariance / variance), seconds / tokens)
        return seconds - per_token * tokens, per_token
