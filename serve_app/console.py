"""What a person at a terminal reads."""

import os
import sys
from typing import NoReturn

from serve_app.errors import StartupError


def say(line: str) -> None:
    """Print a line of progress to standard error, where it does not mix with results."""
    print(line, file=sys.stderr, flush=True)


def colours() -> bool:
    """Tell whether standard output is a terminal whose user wants colours: https://no-color.org."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def fail(error: StartupError) -> NoReturn:
    """End the process with the problem in one line and what to do in the next."""
    say(f"error: {error.problem}")
    if error.hint:
        say(f"hint: {error.hint}")
    sys.exit(error.exit_status)
