"""How long what waits for the model will take."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

# A model reads so many tokens at most, of about so many characters each; further ones cost nothing.
CHARS_PER_TOKEN: Final = 5
# What the shortest text costs, as characters: a model adds tokens of its own to each.
CHARS_PER_TEXT: Final = 10
# Passes of so many seconds of work count in full, older ones less and less.
MEMORY_S: Final = 10.0


class Backlog:
    """Work that requests wait for, and the rate at which this gateway gets work done.

    Work is counted in characters, which a gateway knows without a tokenizer; what matters is its
    ratio to the rate, which is measured in the same unit. Only time in which somebody waits is
    looked at. By Little's law, what waits will have been done after `pending / rate`, whoever
    else uses the same replicas.

    Args:
        max_tokens: The most that the model reads of a text.
        clock: Monotonic time in seconds.

    Attributes:
        pending: Work that requests wait for.
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

    def wait_s(self, more: int = 0) -> float:
        """Return after how many seconds what waits will have been done; zero if unknown.

        Args:
            more: Work that would wait as well.
        """
        self._advance()
        return (self.pending + more) * self._seconds / self._done if self._done else 0.0

    def done(self, texts: Iterable[str]) -> None:
        """Count texts that the model has scored."""
        self._advance()
        self._done += self.work(texts)

    @contextmanager
    def waiting(self, work: int) -> Iterator[None]:
        """Count work that a request waits for within the block."""
        self._advance()
        self.pending += work
        try:
            yield
        finally:
            self._advance()
            self.pending -= work

    def _advance(self) -> None:
        now = self._clock()
        if self.pending:
            passed = now - self._last
            kept = math.exp(-passed / MEMORY_S)
            self._seconds = kept * self._seconds + passed
            self._done *= kept
        self._last = now
