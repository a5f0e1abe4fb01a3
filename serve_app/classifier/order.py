"""The order in which work that waits is served."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


class AlternatingOrder:
    """An order of service that alternates between smallest first and arrival.

    A small request does not wait for large ones, and a large one waits at most twice as long as in
    the order of arrival, however many small ones there are.
    """

    def __init__(self) -> None:
        self._by_size = False

    def next(self, items: Sequence[T], size: Callable[[T], int]) -> list[int]:
        """Return the items' indices in service order: the first time by size, then by arrival.

        Args:
            items: What waits, in the order of arrival.
            size: Returns the size of an item's request.
        """
        self._by_size = not self._by_size
        order = list(range(len(items)))
        return sorted(order, key=lambda index: size(items[index])) if self._by_size else order
