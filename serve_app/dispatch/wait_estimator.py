"""How long what waits for the model will take."""

import math
import time
from collections.abc import Callable, Iterable
from typing import Final

# A model reads so many tokens at most, of about so many characters each; further ones cost nothing.
CHARS_PER_TOKEN: Final = 5
# What the shortest text costs, as characters: a model adds tokens of its own to each.
CHARS_PER_TEXT: Final = 10
# So many seconds of work count in full, older ones less and less.
MEMORY_S: Final = 10.0
# A longer silence tells of replicas that are lost or replaced, not of how fast they are.
LONGEST_SILENCE_S: Final = 2.0


class Backlog:
    """Work that waits for the model, and the rate at which this gateway gets work done.

    Work is counted in characters, which a gateway knows without a tokenizer; what matters is its
    ratio to the rate, which is measured in the same unit. Only time counts in which texts are held
    because the replicas have calls enough: at other times little is done for want of work. By
    Little's law, what waits has been done after `pending / rate`, whoever else uses the replicas.

    Args:
        max_tokens: The most that the model reads of a text.
        clock: Monotonic time in seconds.

    Attributes:
        pending: Work that waits or is being done.
    """

    def __init__(self, max_tokens: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.pending = 0
        self._most_chars = max_tokens * CHARS_PER_TOKEN
        self._clock = clock
        self._last = clock()
        self._done = self._seconds = 0.0

    def work(self, texts: Iterable[str]) -> int:
        """Return how much work texts are."""
        return sum(min(len(text), self._most_chars) + CHARS_PER_TEXT for text in texts)

    def enter(self, texts: Iterable[str]) -> None:
        """Count texts that wait from now on."""
        self.pending += self.work(texts)

    def leave(self, texts: Iterable[str]) -> None:
        """Count texts that wait no longer."""
        self.pending -= self.work(texts)

    def passed(self, busy_replicas: int) -> None:
        """Count the time since the last call.

        Args:
            busy_replicas: How many replicas had calls enough all the time; zero if not all had.
        """
        now = self._clock()
        if busy_replicas:
            seconds = min(now - self._last, LONGEST_SILENCE_S)
            kept = math.exp(-seconds / MEMORY_S)
            self._seconds = kept * self._seconds + busy_replicas * seconds
            self._done *= kept
        self._last = now

    def done(self, texts: Iterable[str]) -> None:
        """Count texts that were scored while all replicas had calls enough."""
        self._done += self.work(texts)

    def wait_s(self, replicas: int, more: int = 0) -> float | None:
        """Return after how many seconds what waits has been done; None before this was measured.

        Args:
            replicas: How many work on it.
            more: Work that would wait as well.
        """
        if not self._done or not self._seconds:
            return None
        return (self.pending + more) * self._seconds / self._done / max(1, replicas)
