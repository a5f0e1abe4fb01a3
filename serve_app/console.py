"""What a person at a terminal reads."""

import os
import sys
from typing import Literal, NoReturn

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


Extra = Literal["batch", "kuberay", "loadtest", "torch", "tracing", "training"]


def install(extra: Extra) -> str:
    """Return the hint that says how to install an extra of `pyproject.toml`.

    Nothing is published under the project's name, so that only a checkout can be installed.
    """
    return f"in a checkout: pip install -c constraints.txt -e '.[{extra}]'"
