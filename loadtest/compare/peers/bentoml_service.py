"""BentoML with adaptive batching and a worker for each core, as its documentation advises on CPUs.

https://docs.bentoml.com/en/latest/get-started/adaptive-batching.html
https://docs.bentoml.com/en/latest/build-with-bentoml/parallelize-requests.html
"""

from typing import Any

import bentoml
from engines import engine


@bentoml.service(workers="cpu_count", traffic={"timeout": 120}, metrics={"enabled": False})
class Sentiment:
    """One engine in each worker."""

    def __init__(self) -> None:
        self.classify = engine()

    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=120_000)
    def predict(self, text: list[str]) -> list[list[dict[str, Any]]]:
        """Score the texts of all requests that were joined."""
        return self.classify(text)
