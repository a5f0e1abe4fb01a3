"""Output for a person at a terminal."""

import os
import sys
from typing import Literal, NoReturn

from serve_app.errors import StartupError

Extra = Literal["serve", "torch", "batch", "tracing", "kuberay", "loadtest"]


def say(line: str) -> None:
    """Print a line of progress to standard error, apart from results."""
    print(line, file=sys.stderr, flush=True)


def colours() -> bool:
    """Tell whether standard output is a terminal whose user wants colours: https://no-color.org."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def fail(error: StartupError) -> NoReturn:
    """End the process with the problem in one line and the next step in another."""
    say(f"error: {error.problem}")
    if error.hint:
        say(f"hint: {error.hint}")
    sys.exit(error.exit_status)


def install(extra: Extra) -> str:
    """Return the hint that says how to install an extra of `pyproject.toml`.

    Only a checkout can be installed: nothing is published under the project's name.
    """
    return f"in a checkout: pip install -c constraints.txt -e '.[{extra}]'"
