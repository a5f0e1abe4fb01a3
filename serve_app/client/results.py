"""What the client returns."""

from typing import NamedTuple


class Prediction(NamedTuple):
    """The model's opinion of one text.

    Attributes:
        label: The likeliest label.
        score: Its probability.
        scores: Probability by label, highest first; they sum to 1.
        truncated: Whether the text has more tokens than the model reads.
    """

    label: str
    score: float
    scores: dict[str, float]
    truncated: bool


class Limits(NamedTuple):
    """What one request may ask for.

    Attributes:
        max_texts: Most texts.
        max_chars: Most characters of a text.
        max_body_bytes: Most bytes of a body.
        max_tokens: Tokens of a text beyond these are not read.
        deadline_s: Seconds after which the service gives up.
    """

    max_texts: int
    max_chars: int
    max_body_bytes: int
    max_tokens: int
    deadline_s: float


class Info(NamedTuple):
    """What answers.

    Attributes:
        model: Name of the model.
        revision: Its revision.
        digest: Hexadecimal digest of its files.
        engine: What runs it.
        labels: Its labels, in the order of its outputs.
        limits: What one request may ask for.
        versions: Versions of what scores can depend on, by name.
    """

    model: str
    revision: str
    digest: str
    engine: str
    labels: tuple[str, ...]
    limits: Limits
    versions: dict[str, str]
