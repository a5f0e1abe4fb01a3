"""A row on its way, and what comes of it."""

from typing import Any, Final, NamedTuple

from serve_app.client.results import Prediction

LABEL: Final = "predicted_label"
SCORE: Final = "score_"
ERROR: Final = "prediction_error"


class Record(NamedTuple):
    """One row of the input.

    Attributes:
        fields: What it holds, by column.
        text: What is to be scored.
        problem: Why it cannot be; empty where it can.
    """

    fields: dict[str, Any]
    text: str
    problem: str = ""


class Failed(NamedTuple):
    """A row that has no prediction."""

    reason: str


Outcome = Prediction | Failed


def added_columns(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns that a row gets: the likeliest label, each label's score, and an error."""
    return (LABEL, *(SCORE + label for label in labels), ERROR)


def added_fields(labels: tuple[str, ...], outcome: Outcome) -> dict[str, Any]:
    """Return what a row gets in these columns; None stands for an empty field."""
    match outcome:
        case Prediction():
            values = (outcome.label, *(outcome.scores[label] for label in labels), None)
        case Failed(reason):
            values = (None, *(None for _ in labels), reason)
    return dict(zip(added_columns(labels), values, strict=True))
