"""What every verb tells about itself: examples, and exit codes of one meaning each."""

from typing import Final

from serve_app.errors import (
    ConnectionLost,
    PredictionFailed,
    RolloutFailed,
    RolloutRefused,
    RolloutTimeout,
    StartupError,
)

DIFFERENT: Final = 8
ROWS_FAILED: Final = 9
# As a shell reports a program that SIGINT, SIGKILL or SIGPIPE has ended.
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
    """Return what `--help` says above the options.

    Args:
        summary: What the verb does, in a sentence.
        examples: A command on each line.
        details: What else a user has to know.
        exit_codes: Those of `EXIT_CODES` that the verb has.
    """
    meanings = "\n".join(f"{code:5}  {EXIT_CODES[code]}" for code in exit_codes)
    return _paragraphs(summary, examples, details.strip(), f"Exit codes:\n{meanings}")


def group_help(summary: str, examples: str) -> str:
    """Return what `--help` of a group of verbs says above them.

    Args:
        summary: What they do, in a sentence.
        examples: A command on each line.
    """
    return _paragraphs(summary, examples, "Each verb's own --help has more, and its exit codes.")


def _paragraphs(summary: str, examples: str, *others: str) -> str:
    commands = "\n".join(f"  {line}" for line in examples.strip().splitlines())
    parts = [f"Examples:\n{commands}", *others]
    # A line with \b keeps the lines below it apart: https://click.palletsprojects.com/documentation
    return "\n\n".join([summary, *(f"\b\n{part}" for part in parts if part)])
