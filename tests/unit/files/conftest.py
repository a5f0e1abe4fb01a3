import hashlib
from collections.abc import Sequence

import pytest

from serve_app.client import Prediction
from serve_app.client.request import Budget
from serve_app.files.reader import Outcome


class HashScorer:
    """Scores a text by its hash, in this process."""

    labels = ("NEGATIVE", "POSITIVE")
    budget = Budget(texts=3, bytes=100)

    def refusal(self, text: str) -> str:
        return "the text is refused" if text == "refuse me" else ""

    def score(self, texts: Sequence[str]) -> list[Outcome]:
        return [self.prediction(text) for text in texts]

    def prediction(self, text: str) -> Prediction:
        positive = hashlib.blake2b(text.encode(), digest_size=1).digest()[0] / 256
        scores = {"POSITIVE": positive, "NEGATIVE": 1 - positive}
        label = max(scores, key=scores.__getitem__)
        return Prediction(label, scores[label], scores, truncated=False)


@pytest.fixture
def scorer() -> HashScorer:
    return HashScorer()
