"""How much work for the model callers want of this gateway."""

import time
from collections.abc import Callable, Mapping
from typing import Final

# Longer than `MAX_RETRY_AFTER_S`, the longest that a refused caller is told to wait.
REMEMBERED_S: Final = 45.0
# Texts in one of two generations, at some 150 bytes each.
MOST_REMEMBERED: Final = 50_000


class Demand:
    """Counts texts for the model, refused ones included, which replicas are to follow.

    A text that was refused and comes again, however often, is the same work as before and counts
    once: the demand of callers who try again is what they want, not how often they ask.

    Args:
        clock: Monotonic time in seconds.

    Attributes:
        chars: How many characters the texts had, in all.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.chars = 0
        self._clock = clock
        self._since = clock()
        self._refused = set[bytes]()
        self._refused_before = set[bytes]()

    def admit(self, texts: Mapping[bytes, str]) -> None:
        """Count texts, by key, that are computed."""
        if self._refused or self._refused_before:
            self._count_new(texts)
            self._refused.difference_update(texts)
            self._refused_before.difference_update(texts)
        else:
            self.chars += sum(map(len, texts.values()))

    def refuse(self, texts: Mapping[bytes, str]) -> None:
        """Count texts, by key, that are not."""
        if (
            self._clock() - self._since > REMEMBERED_S
            or len(self._refused) + len(texts) > MOST_REMEMBERED
        ):
            self._refused_before, self._refused = self._refused, set()
            self._since = self._clock()
        self._count_new(texts)
        self._refused.update(texts)

    def _count_new(self, texts: Mapping[bytes, str]) -> None:
        self.chars += sum(
            len(text)
            for key, text in texts.items()
            if key not in self._refused and key not in self._refused_before
        )
