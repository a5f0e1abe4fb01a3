"""Output for a person at a terminal."""

import os
import signal
import sys
from typing import Literal, NoReturn

from serve_app.errors import StartupError

Extra = Literal["serve", "torch", "batch", "tracing", "kuberay", "loadtest", "training"]


def clean(text: str, kept: str = "") -> str:
    """Return a text with an escape in place of what commands a terminal or turns a line around.

    A blank takes the place of other white space, but for characters that are to be kept.
    """
    # Those two join letters and emoji.
    return "".join(
        each if each.isprintable() or each in f"\u200c\u200d{kept}" else _escape(each)
        for each in text
    )


def _escape(character: str) -> str:
    return " " if character.isspace() else character.encode("unicode_escape").decode()


def one_line(message: str) -> str:
    """Return a message in one line: of a traceback the last line, which names the error."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    traceback = any(line.startswith("Traceback") for line in lines)
    return lines[-1] if traceback else " ".join(lines)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type where it has none."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def say(line: str) -> None:
    """Print a line of progress to standard error, apart from results."""
    print(clean(line), file=sys.stderr, flush=True)


def show(lines: str) -> None:
    """Print lines of a result to standard output."""
    print(clean(lines, "\n"))


def colours() -> bool:
    """Tell whether standard output is a terminal whose user wants colours: https://no-color.org."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def fail(error: StartupError) -> NoReturn:
    """End the process with the problem in one line and the next step in another."""
    say(f"error: {error.problem}")
    if error.hint:
        say(f"hint: {error.hint}")
    sys.exit(error.exit_status)


def interrupt_by_signals() -> None:
    """Let SIGINT and SIGTERM raise `KeyboardInterrupt` in this process from now on.

    A background job of a shell, and what it starts, would ignore SIGINT.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def install(extra: Extra) -> str:
    """Return the hint that says how to install an extra of `pyproject.toml`.

    Only a checkout can be installed: nothing is published under the project's name.
    """
    return f"in a checkout: pip install -c constraints.txt -e '.[{extra}]'"
