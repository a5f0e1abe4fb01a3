"""What a person at a terminal reads."""

import sys
from typing import NoReturn

from serve_app.errors import StartupError


def say(line: str) -> None:
    """Print a line of progress to standard error, where it does not mix with results."""
    print(line, file=sys.stderr, flush=True)


def fail(error: StartupError) -> NoReturn:
    """End the process with the problem in one line and what to do in the next."""
    say(f"error: {error.problem}")
    if error.hint:
        say(f"hint: {error.hint}")
    sys.exit(error.exit_status)
