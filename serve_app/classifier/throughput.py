"""How much work a replica has, in tokens, for the policy that decides how many there are."""

from collections.abc import Sequence
from math import inf
from typing import Final

from serve_app.autoscaling import replica_stats as reports
from serve_app.engine.tokenizer import Tokens

# The texts of the last hundred thousand characters count in full, older ones less and less.
MEMORY_CHARS: Final = 100_000


class Workload:
    """Learns from what arrives how long texts are, and from the passes what the replica can do."""

    def __init__(self) -> None:
        self._tokens = self._chars = 0.0
        self._cost = PassCost()

    def arrive(self, texts: Sequence[str], tokens: Sequence[Tokens]) -> None:
        """Learn how many tokens the characters of one call make."""
        chars = sum(map(len, texts))
        kept = max(0.0, 1 - chars / MEMORY_CHARS)
        self._chars = kept * self._chars + chars
        self._tokens = kept * self._tokens + token_count(tokens)

    def passed(self, texts: Sequence[Tokens], seconds: float, waiting: int, most: int) -> None:
        """Learn from a pass through the model.

        Args:
            texts: What took part.
            seconds: How long it took.
            waiting: Tokens that it left waiting.
            most: Most tokens in a pass.
        """
        self._cost.record(token_count(texts), seconds, full=waiting >= most)

    def stats(self, waiting: int, most: int) -> dict[str, float]:
        """Return what the replica publishes; see `reports.classifier_stats`.

        Args:
            waiting: Tokens that wait or are being computed.
            most: Most tokens in a pass.
        """
        return reports.classifier_stats(
            waiting=waiting,
            rate=self._cost.rate(most),
            tokens_per_char=self._tokens / self._chars if self._chars else None,
        )


def token_count(texts: Sequence[Tokens]) -> int:
    """Return how many tokens texts have together, padding excluded."""
    return sum(len(text.ids) for text in texts)


# Passes of half a minute of computing count in full, older ones less and less.
MEMORY_S: Final = 30.0
# The first passes fill caches, often while other replicas start beside them: nothing is learnt.
FIRST_PASSES: Final = 3
# Fewer passes than this tell no rate.
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
        self._passes = -FIRST_PASSES
        self._weight = self._tokens = self._seconds = self._squares = self._products = 0.0
        self._full_weight = self._full_tokens = 0.0

    def record(self, tokens: int, seconds: float, *, full: bool) -> None:
        """Learn from one pass.

        Args:
            tokens: Tokens that it took, padding excluded; at least one.
            seconds: How long it took.
            full: Whether as many as fit were taken, because at least as many again waited.
        """
        self._passes += 1
        if self._passes <= 0:
            return
        seconds = max(min(seconds, self._longest(tokens)), RESOLUTION_S)
        kept = max(0.0, 1 - seconds / MEMORY_S)
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
        if self._passes <= FEWEST_PASSES:
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
