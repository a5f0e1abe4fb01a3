"""How one request's texts are spread over calls."""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil
from typing import TypeVar

T = TypeVar("T")


def chunks(items: Sequence[T], most: int) -> list[Sequence[T]]:
    """Split into the fewest chunks of at most `most` items, as equal in size as can be.

    Equal chunks let replicas finish together; the fewest keep calls between processes rare.
    """
    count = ceil(len(items) / most)
    bounds = [len(items) * index // count for index in range(count + 1)] if count else [0]
    return [items[start:end] for start, end in pairwise(bounds)]
