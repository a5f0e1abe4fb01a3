"""What a classifier replica answers to one call."""

from typing import NamedTuple

from serve_app.scores import TextLogits


class ChunkReply(NamedTuple):
    """Results for one chunk of texts.

    Attributes:
        texts: One entry per text, in order; None where the model failed on it.
        queue_ms: Longest time that a text of the chunk waited for the engine.
        inference_ms: Longest pass through the model that a text of the chunk took part in.
    """

    texts: list[TextLogits | None]
    queue_ms: float
    inference_ms: float
