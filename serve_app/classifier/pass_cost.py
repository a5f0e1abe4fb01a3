"""What a pass through the model costs, learnt from the passes themselves."""

from math import inf
from typing import Final

# Passes of half a minute of computing count in full, older ones less and less.
MEMORY_S: Final = 30.0
# Before so many passes, what they took may be the first ones' caches being filled.
FEWEST_PASSES: Final = 3
# No pass is shorter than what a clock may fail to tell from nothing.
RESOLUTION_S: Final = 1e-6
# A pass that takes longer than this times what passes of its size took has stalled, for want of a
# CPU for example: it counts as so much. A replica that has become slower is learnt all the same.
MOST_STALLED: Final = 2.0
# Lengths must vary by a tenth before their influence can be told from noise.
LEAST_VARIATION: Final = 0.1


class PassCost:
    """Fits `seconds = fixed + per_token * tokens` to the passes, and tells the rate at full ones.

    A pass has a fixed cost, so that small passes tell little of what a replica can do under load:
    the rate is that of full ones. Only time in which the engine computes is looked at, and only
    such time makes passes forgotten: least squares with weights that decay with busy time.
    """

    def __init__(self) -> None:
        self._passes = 0
        self._weight = self._tokens = self._seconds = self._squares = self._products = 0.0
        self._full_weight = self._full_tokens = 0.0

    def record(self, tokens: int, seconds: float, *, full: bool) -> None:
        """Learn from one pass.

        Args:
            tokens: Tokens that it took, padding excluded; at least one.
            seconds: How long it took.
            full: Whether as many as fit were taken, because at least as many again waited.
        """
        seconds = max(min(seconds, self._longest(tokens)), RESOLUTION_S)
        kept = max(0.0, 1 - seconds / MEMORY_S)
        self._passes += 1
        self._weight = kept * self._weight + 1
        self._tokens = kept * self._tokens + tokens
        self._seconds = kept * self._seconds + seconds
        self._squares = kept * self._squares + tokens * tokens
        self._products = kept * self._products + tokens * seconds
        self._full_weight = kept * self._full_weight + full
        self._full_tokens = kept * self._full_tokens + full * tokens

    def rate(self, most_tokens: int) -> float | None:
        """Return tokens per second at full passes, positive; None before a few passes.

        Args:
            most_tokens: Tokens in a full pass, where none has been seen yet.
        """
        if self._passes < FEWEST_PASSES:
            return None
        fixed, per_token = self._fit()
        full = most_tokens
        if self._full_weight >= FEWEST_PASSES:
            full = round(self._full_tokens / self._full_weight)
        return full / (fixed + per_token * full)

    def _longest(self, tokens: int) -> float:
        """Return the longest time that a pass of so many tokens may count as, in seconds."""
        if self._passes < FEWEST_PASSES:
            return inf
        fixed, per_token = self._fit()
        return MOST_STALLED * (fixed + per_token * tokens)

    def _fit(self) -> tuple[float, float]:
        """Return the fixed cost of a pass and the cost of a token, in seconds, neither negative."""
        mean_tokens, mean_seconds = self._tokens / self._weight, self._seconds / self._weight
        variance = self._squares / self._weight - mean_tokens**2
        if variance <= (LEAST_VARIATION * mean_tokens) ** 2:
            return 0.0, mean_seconds / mean_tokens
        covariance = self._products / self._weight - mean_tokens * mean_seconds
        per_token = min(max(0.0, covariance / variance), mean_seconds / mean_tokens)
        return mean_seconds - per_token * mean_tokens, per_token
