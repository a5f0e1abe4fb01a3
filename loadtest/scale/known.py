"""What the simulated engine answers for the texts of the load generator."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from serve_app.engine.engine import SimulatedEngine
from serve_app.engine.tokenizer import Tokenizer
from serve_app.model.parity import probabilities
from serve_app.model.store import resolve
from serve_app.settings import SimulatedCost

# Scores are written with the precision of float32.
ROUNDING: Final = 1e-6
# To make a score takes 0.2 ms, as much as the gateway takes for dozens of texts that it remembers.
REMEMBERED: Final = 4096


class Known:
    """Right answers for texts of certain words, each of which is one token.

    Args:
        words: Of which texts are made.

    Raises:
        ValueError: One of the words is not one token.
    """

    def __init__(self, words: Sequence[str]) -> None:
        model = resolve("embedded")
        (tokens,) = Tokenizer(model).encode([" ".join(words)])
        self._first, *inner, self._last = tokens.ids
        if len(inner) != len(words):
            raise ValueError("there is a word that is not one token")
        self._ids = dict(zip(words, inner, strict=True))
        self._labels = model.labels
        self._engine = SimulatedEngine(len(self._labels), SimulatedCost(batch_ms=0, token_us=0))
        self._right = lru_cache(REMEMBERED)(self._scores)

    def answered_by(self, texts: Sequence[str], predictions: Sequence[Any]) -> bool:
        """Tell whether predictions, as the service sends them, are those of these texts."""
        return len(texts) == len(predictions) and all(
            map(_agree, map(self._right, texts), predictions)
        )

    def _scores(self, text: str) -> dict[str, float]:
        ids = [self._first, *(self._ids[word] for word in text.split(" ")), self._last]
        (scores,) = probabilities(self._engine.logits([ids]))
        return dict(zip(self._labels, scores.tolist(), strict=True))


def _agree(right: dict[str, float], prediction: Any) -> bool:
    scores = {each["label"]: each["score"] for each in prediction}
    return scores.keys() == right.keys() and all(
        math.isclose(scores[label], score, abs_tol=ROUNDING) for label, score in right.items()
    )
