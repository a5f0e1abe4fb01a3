"""Help texts, exit codes and defaults that several verbs share."""

from typing import Final, Literal

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
MODEL: Final = "embedded"

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


def help_text(
    summary: str,
    examples: str,
    details: str = "",
    exit_codes: tuple[int, ...] = (0, 1, 2, INTERRUPTED),
) -> str:
    """Return the help of a verb, above its options.

    Args:
        summary: One sentence.
        examples: A command on each line.
        details: Further lines.
        exit_codes: Keys of `EXIT_CODES`.
    """
    meanings = "\n".join(f"{code:5}  {EXIT_CODES[code]}" for code in exit_codes)
    return _paragraphs(summary, examples, details.strip(), f"Exit codes:\n{meanings}")


def group_help(summary: str, examples: str) -> str:
    """Return the help of a group of verbs; see `help_text`."""
    return _paragraphs(summary, examples, "The --help of each verb has more, and its exit codes.")


def _paragraphs(summary: str, examples: str, *others: str) -> str:
    commands = "\n".join(f"  {line}" for line in examples.strip().splitlines())
    paragraphs = [f"Examples:\n{commands}", *others]
    # After a line with \b, click keeps line breaks: https://click.palletsprojects.com/documentation
    return "\n\n".join([summary, *(f"\b\n{each}" for each in paragraphs if each)])
