"""Values that travel between the stages of a request."""

from collections.abc import Sequence
from typing import NamedTuple


class KeyedTexts(NamedTuple):
    """The texts of one request, and the cache key of each distinct text, both in its order."""

    texts: Sequence[str]
    keys: dict[str, bytes]


class TextLogits(NamedTuple):
    """The model's raw output for one text: a float32 value per label, in the order of label ids.

    It is `truncated` if the text had more tokens than the model reads.
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
    """The model's output for each text of one request, in its order.

    `hits` are texts that came from the cache, `misses` the others; duplicates of one are computed
    once.
    """

    logits: list[TextLogits]
    hits: int
    misses: int
    times: StageTimes


class CallReply(NamedTuple):
    """The model's output for each text of a call, in its order; None where it failed.

    `queue_ms` is the longest time that a text waited for the engine, `inference_ms` the longest
    pass through the model that a text took part in.
    """

    logits: list[TextLogits | None]
    queue_ms: float
    inference_ms: float
