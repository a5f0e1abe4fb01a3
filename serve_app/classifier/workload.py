"""How much work a replica has, in tokens, for the policy that decides how many there are."""

from collections.abc import Sequence
from typing import Final

from serve_app.autoscaling import reports
from serve_app.classifier.pass_cost import PassCost
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
