"""Tells at a terminal what a long run is doing."""

import re
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from serve_app.console import say

WIDTH: Final = 100
LAST_LINES: Final = 40


class Progress:
    """Names each step when it starts and its finding when it ends.

    Args:
        steps: How many there will be.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._step = 0
        self._last: deque[str] = deque(maxlen=LAST_LINES)

    def step(self, name: str, do: Callable[[], str]) -> str:
        """Run a step and return what it found.

        Raises:
            RuntimeError: The step failed to build something; the message has its last lines.
        """
        self._step += 1
        self._last.clear()
        say(f"[{self._step}/{self._steps}] {name} …")
        started = time.monotonic()
        try:
            found = do()
        except RuntimeError as error:
            raise RuntimeError("\n".join([*self._last, str(error)])) from error
        say(f"[{self._step}/{self._steps}] {name}: {found} ({time.monotonic() - started:.0f} s)")
        return found

    def watch(self, line: str) -> None:
        """Show a line of a build where it starts something, and keep it for a failure."""
        self._last.append(line)
        if re.search(r"STEP \S+ (RUN|COPY) ", line):
            say(f"  {line[:WIDTH]}")
