"""How one request's texts are spread over calls."""

from collections.abc import Mapping
from itertools import accumulate, groupby
from math import ceil
from operator import itemgetter
from typing import NamedTuple


class Chunk(NamedTuple):
    """Texts that travel together.

    Attributes:
        texts: The texts by key.
        filled: Which part of a call they take up, 1 where there is no room left.
        longest: Which part of a call's characters the longest of them has.
    """

    texts: dict[bytes, str]
    filled: float
    longest: float


def chunks(texts: Mapping[bytes, str], most: int, chars: int, least: int = 1) -> list[Chunk]:
    """Split into consecutive chunks, as equal in work as can be.

    Equal chunks let replicas finish together; few of them keep calls between processes rare.

    Args:
        texts: What is split, by key, in this order.
        most: Most texts in a chunk.
        chars: Characters that fill a chunk; no chunk of several texts has twice as many.
        least: Fewest chunks, as long as each has a text.
    """
    shares = {key: min(1.0, max(1 / most, len(text) / chars)) for key, text in texts.items()}
    total = sum(shares.values())
    # Rounded, so that ten tenths are one.
    count = max(ceil(round(total, 6)), min(least, len(texts)))
    # A text belongs to the chunk that its middle falls into.
    ends = accumulate(shares.values())
    middles = (end - part / 2 for end, part in zip(ends, shares.values(), strict=True))
    numbered = (
        (int(middle * count / total), key) for middle, key in zip(middles, texts, strict=True)
    )
    groups = ([key for _, key in group] for _, group in groupby(numbered, key=itemgetter(0)))
    return [
        Chunk(
            texts={key: texts[key] for key in keys},
            filled=sum(shares[key] for key in keys),
            longest=max(len(texts[key]) for key in keys) / chars,
        )
        for keys in groups
    ]
