"""How much work a replica has, in tokens, for the policy that decides how many there are."""

from collections.abc import Sequence

from serve_app.autoscaling import signal
from serve_app.classifier.pass_cost import PassCost
from serve_app.engine.tokenizer import Tokens


class Workload:
    """Counts what arrives and learns from the passes what the replica can do."""

    def __init__(self) -> None:
        self._arrived = 0
        self._calls = 0
        self._cost = PassCost()

    def arrive(self, texts: Sequence[Tokens]) -> None:
        """Count the texts of one call."""
        self._arrived += token_count(texts)
        self._calls += 1

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
        """Return what the replica publishes; see `signal.stats`.

        Args:
            waiting: Tokens that wait or are being computed.
            most: Most tokens in a pass.
        """
        return signal.stats(
            waiting=waiting, arrived=self._arrived, calls=self._calls, rate=self._cost.rate(most)
        )


def token_count(texts: Sequence[Tokens]) -> int:
    """Return how many tokens texts have together, padding excluded."""
    return sum(len(text.ids) for text in texts)
