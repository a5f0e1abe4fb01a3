"""LitServe with what its own BERT benchmark uses: batches within 10 ms and the fast queue.

https://github.com/Lightning-AI/LitServe/blob/main/tests/perf_test/bert/server.py
"""

import os
from typing import Any

import litserve
from engines import Prediction, engine

CORES = len(os.sched_getaffinity(0))


class Sentiment(litserve.LitAPI):
    """Joins the texts of several requests into one batch."""

    def setup(self, device: str) -> None:
        self.classify = engine()

    def decode_request(self, request: dict[str, Any]) -> list[str]:
        texts: list[str] = request["text"]
        return texts

    def batch(self, inputs: list[list[str]]) -> tuple[list[str], list[int]]:
        return [text for texts in inputs for text in texts], [len(texts) for texts in inputs]

    def predict(self, x: tuple[list[str], list[int]]) -> tuple[list[Prediction], list[int]]:
        texts, sizes = x
        return self.classify(texts), sizes

    def unbatch(self, output: tuple[list[Prediction], list[int]]) -> list[list[Prediction]]:
        found, sizes = output
        remaining = iter(found)
        return [[next(remaining) for _ in range(size)] for size in sizes]

    def encode_response(self, output: list[Prediction]) -> dict[str, Any]:
        return {"predictions": output}


if __name__ == "__main__":
    server = litserve.LitServer(
        Sentiment(max_batch_size=16, batch_timeout=0.01),
        accelerator="cpu",
        workers_per_device=CORES,
        fast_queue=True,
        timeout=120,
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PEER_PORT"]),
        log_level="warning",
        generate_client_file=False,
    )
