"""Refuses in front of a gateway for a moment what it has just refused.

Under overload most requests are refused, and each costs a way through Ray's proxy and the gateway.
Where that way is what saturates, requests would queue up in it, where nothing bounds them.
"""

import time
from collections.abc import Callable
from typing import Final

# Short beside the seconds that a gateway lets wait, so that its queue does not run dry meanwhile.
HOLDS_S: Final = 0.1
# A request that is so much smaller than the one refused is let through: there may be room for it.
MUCH_SMALLER: Final = 0.5


class StickyRefusal:
    """Remembers the last refusal for a moment.

    Args:
        clock: Monotonic time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = 0.0
        self._bytes = 0
        self._retry_after = ""

    @property
    def active(self) -> bool:
        """Whether any request may be refused now."""
        return self._clock() < self._until

    def note(self, body_bytes: int, retry_after: str) -> None:
        """Remember that a request of so many bytes was refused with this `Retry-After`."""
        now = self._clock()
        smallest = min(self._bytes, body_bytes) if self.active else body_bytes
        self._until, self._bytes = now + HOLDS_S, smallest
        self._retry_after = retry_after

    def holds(self, body_bytes: int) -> str:
        """Return the `Retry-After` of a request of so many bytes; empty if it is not refused."""
        if self.active and body_bytes > MUCH_SMALLER * self._bytes:
            return self._retry_after
        return ""
