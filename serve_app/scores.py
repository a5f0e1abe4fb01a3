"""Values that travel between the stages of a request."""

from collections.abc import Sequence
from typing import NamedTuple


class KeyedTexts(NamedTuple):
    """The texts of one request with their cache keys.

    Attributes:
        texts: The texts, in the order of the request.
        keys: The key of each distinct text, in that order.
    """

    texts: Sequence[str]
    keys: dict[str, bytes]


class TextLogits(NamedTuple):
    """The model's raw output for one text.

    Attributes:
        logits: One float32 value per label, in the order of the model's label ids.
        truncated: Whether the text had more tokens than the model reads.
    """

    logits: tuple[float, ...]
    truncated: bool


class StageTimes(NamedTuple):
    """How long the stages of a request took, in milliseconds.

    `queue` and `inference` are zero when every text came from the cache.
    """

    cache: float
    queue: float
    inference: float


class Classification(NamedTuple):
    """What the gateway knows about one request's texts.

    Attributes:
        texts: One entry per text of the request, in its order.
        hits: Texts that came from the cache.
        misses: The other texts; duplicates of one are computed once.
        times: Stage times.
    """

    texts: list[TextLogits]
    hits: int
    misses: int
    times: StageTimes


class CallReply(NamedTuple):
    """Results for one chunk of texts.

    Attributes:
        texts: One entry per text, in order; None where the model failed on it.
        queue_ms: Longest time that a text of the chunk waited for the engine.
        inference_ms: Longest pass through the model that a text of the chunk took part in.
    """

    texts: list[TextLogits | None]
    queue_ms: float
    inference_ms: float
