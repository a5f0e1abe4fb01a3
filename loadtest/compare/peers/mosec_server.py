"""mosec with batches of up to 32 requests, as in its own example for this model.

An inference worker for each core, and mosec's default wait for a batch, 10 ms. Other than in the
example, the tokenizer runs in the same worker and not in a stage of its own.
https://mosecorg.github.io/mosec/examples/pytorch.html
"""

import os
from typing import Any

from engines import Prediction, engine
from mosec import Server, Worker

CORES = len(os.sched_getaffinity(0))
TIMEOUT_MS = 120_000


class Sentiment(Worker):
    """Joins the texts of several requests into one batch."""

    def __init__(self) -> None:
        super().__init__()
        self.classify = engine()

    def forward(self, data: list[dict[str, Any]]) -> list[dict[str, list[Prediction]]]:
        found = iter(self.classify([text for request in data for text in request["text"]]))
        return [{"predictions": [next(found) for _ in request["text"]]} for request in data]


if __name__ == "__main__":
    server = Server()
    server.append_worker(Sentiment, num=CORES, max_batch_size=32, timeout=TIMEOUT_MS // 1000)
    server.run()
