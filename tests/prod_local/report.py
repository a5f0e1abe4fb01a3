"""What was promised and what was seen."""

import time

from serve_app.console import say


class Report:
    """Prints each promise when it is decided, and knows whether all were kept."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self.broken = 0

    def step(self, what: str) -> float:
        """Announce a step and return when it begins, in seconds since the epoch."""
        say(f"\n{time.monotonic() - self._begun:5.0f} s  {what}")
        return time.time()

    def seen(self, what: str) -> None:
        """Print a figure that nothing was promised of."""
        say(f"         {what}")

    def promise(self, kept: bool, what: str, seen: object) -> None:
        """Print whether a promise was kept, and what was seen of it."""
        self.broken += not kept
        say(f"  {'kept  ' if kept else 'BROKEN'} {what}: {seen}")

    def end(self) -> int:
        """Print the verdict and return the exit status."""
        took = time.monotonic() - self._begun
        verdict = f"{self.broken} promises broken" if self.broken else "every promise kept"
        say(f"\n{verdict}, in {took:.0f} s")
        return 1 if self.broken else 0
