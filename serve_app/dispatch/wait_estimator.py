"""An estimate of how long texts wait for the model."""

import math
import time
from collections.abc import Callable, Collection, Iterable
from typing import Final

# A model reads at most so many tokens, of about so many characters each; the rest costs nothing.
CHARS_PER_TOKEN: Final = 5
# Cost of the shortest text in characters: a model adds tokens of its own to each text.
CHARS_PER_TEXT: Final = 10
# Measurements lose weight with this time constant of busy time, in seconds.
MEMORY_S: Final = 10.0
# A longer silence is a sign of replicas that are lost or replaced, not of how fast they are.
MAX_SILENCE_S: Final = 2.0


class WaitEstimator:
    """Work that waits for the model, and the rate at which this gateway gets work done.

    Work is counted in characters, which a gateway knows without a tokenizer. Only time counts in
    which calls are held because the replicas have enough: at other times little is done for want
    of work. By Little's law, what waits is done after `pending / rate`, whoever else uses the
    replicas.

    Args:
        max_tokens: Maximum number of tokens that the model reads of a text.
        clock: Monotonic time in seconds.

    Attributes:
        texts: Number of texts that wait or are being computed.
        pending: Their work.
    """

    def __init__(self, max_tokens: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.texts = self.pending = 0
        self._max_chars = max_tokens * CHARS_PER_TOKEN
        self._clock = clock
        self._last = clock()
        self._done = self._seconds = 0.0

    def work(self, texts: Iterable[str]) -> int:
        """Return the work that texts are."""
        return sum(min(len(text), self._max_chars) + CHARS_PER_TEXT for text in texts)

    def add(self, texts: Collection[str]) -> None:
        """Count texts that wait from now on."""
        self.texts += len(texts)
        self.pending += self.work(texts)

    def remove(self, texts: Collection[str]) -> None:
        """Stop counting texts that were computed or given up."""
        self.texts -= len(texts)
        self.pending -= self.work(texts)

    def observe_time(self, busy_replicas: int) -> None:
        """Count the time since the last call of this method.

        Args:
            busy_replicas: Number of replicas, if all had enough calls all the time; else zero.
        """
        now = self._clock()
        if busy_replicas:
            seconds = min(now - self._last, MAX_SILENCE_S)
            kept = math.exp(-seconds / MEMORY_S)
            self._seconds = kept * self._seconds + busy_replicas * seconds
            self._done *= kept
        self._last = now

    def observe_done(self, texts: Iterable[str]) -> None:
        """Count texts that were scored while all replicas had enough calls."""
        self._done += self.work(texts)

    def wait_s(self, replicas: int, more: int = 0) -> float | None:
        """Return in how many seconds what waits is done; None before this was measured.

        Args:
            replicas: Number of replicas that work on it.
            more: Work that would wait as well.
        """
        if not self._done or not self._seconds:
            return None
        return (self.pending + more) * self._seconds / self._done / max(1, replicas)
