"""Predictions as lines for a person at a terminal."""

import shutil
from collections.abc import Iterable
from typing import Final

import typer

from serve_app.bulk.record import Failed
from serve_app.bulk.run import Result
from serve_app.console import colours

_NARROWEST: Final = 20


def plain(results: Iterable[Result], labels: tuple[str, ...]) -> str:
    """Return a line for each row: its label, the label's score, and the start of its text.

    Args:
        results: The rows.
        labels: The model's labels.
    """
    width = max(map(len, labels))
    room = max(_NARROWEST, shutil.get_terminal_size().columns - width - len("  0.000  "))
    return "".join(_line(result, width, room) for result in results)


def _line(result: Result, width: int, room: int) -> str:
    match result.outcome:
        case Failed(reason):
            return f"{_styled('-'.ljust(width))}  {'-':5}  {reason}\n"
        case prediction:
            label = _styled(prediction.label.ljust(width))
            return f"{label}  {prediction.score:.3f}  {_shown(result.record.text, room)}\n"


def _shown(text: str, room: int) -> str:
    """Return a text on one line; a text from elsewhere must not send commands to a terminal."""
    line = "".join(each if each.isprintable() else " " for each in text)
    return line if len(line) <= room else line[: room - 1] + "…"


def _styled(label: str) -> str:
    return typer.style(label, bold=True) if colours() else label
