"""Help texts, exit codes and options that several verbs share.

The help of a verb is its docstring: one sentence, then paragraphs that keep their lines.
"""

from collections.abc import Callable
from inspect import cleandoc
from typing import Final, Literal, TypeVar

from serve_app.errors import (
    ConnectionLost,
    PredictionFailed,
    RolloutFailed,
    RolloutRefused,
    RolloutTimeout,
    StartupError,
)

API_KEY: Final = "SENTIMENT_API_KEY"
"""Environment variable with the key that the command line sends to a service."""

# The engines of `serve_app.settings`, which needs Pydantic, without the simulated one, whose scores
# are invented.
Engine = Literal["onnx-int8", "onnx-fp32", "torch", "auto"]
ENGINE: Final[Engine] = "auto"
ENGINE_HELP: Final = (
    "What runs the model: auto is onnx-int8, or onnx-fp32 where int8 does not score like torch."
)
MODEL: Final = "embedded"
MODEL_HELP: Final = (
    "The model: embedded, a directory in Hugging Face form, or ORGANIZATION/NAME@REVISION on the "
    "Hugging Face Hub."
)

DIFFERENT: Final = 8
ROWS_FAILED: Final = 9
# The exit codes with which a shell reports SIGINT, SIGKILL and SIGPIPE.
INTERRUPTED: Final = 130
KILLED: Final = 137
PIPE_CLOSED: Final = 141

EXIT_CODES: Final = {
    0: "done",
    StartupError.exit_status: "it could not start or go on; one line says why",
    2: "wrong usage",
    RolloutRefused.exit_status: "refused by the API server or the operator",
    RolloutFailed.exit_status: "the new version does not start",
    RolloutTimeout.exit_status: "not done in time, or, for `status`, not yet",
    ConnectionLost.exit_status: "the API server does not answer",
    PredictionFailed.exit_status: "the new version does not predict",
    DIFFERENT: "`diff` has found differences",
    ROWS_FAILED: "done, but some rows have no scores",
    INTERRUPTED: "interrupted",
    KILLED: "the service was killed, or Ctrl-C came twice",
    PIPE_CLOSED: "the reader of the output has left",
}

Verb = TypeVar("Verb", bound=Callable[..., None])


def exit_codes(*codes: int) -> Callable[[Verb], Verb]:
    """Add exit codes, keys of `EXIT_CODES`, to the help of a verb."""
    meanings = "\n".join(f"{code:5}  {EXIT_CODES[code]}" for code in codes)

    def added(verb: Verb) -> Verb:
        verb.__doc__ = with_lines(f"{cleandoc(verb.__doc__ or '')}\n\nExit codes:\n{meanings}")
        return verb

    return added


def group_help(text: str) -> str:
    """Return the help of a group of verbs."""
    more = "The --help of each verb has more, and says what its exit codes mean."
    return with_lines(f"{cleandoc(text)}\n\n{more}")


def with_lines(text: str) -> str:
    """Return a help text whose paragraphs after the first one keep their lines."""
    # After a line with \b, click keeps line breaks: https://click.palletsprojects.com/documentation
    return cleandoc(text).replace("\n\n", "\n\n\b\n")
