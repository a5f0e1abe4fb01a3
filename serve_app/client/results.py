"""What the client returns."""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from serve_app.client.errors import StatusError, UnexpectedAnswer, status_error


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


OK: Final = 200
# What a proxy says in place of the service is quoted no further than this.
QUOTED_CHARS: Final = 200


class Reply(NamedTuple):
    """A whole answer; names of headers are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def predictions(reply: Reply, texts: int, request_id: str) -> list[Prediction]:
    """Read the answer of `POST /project/predict`.

    Args:
        reply: An answer with status 200.
        texts: How many texts were sent.
        request_id: The request's id.

    Raises:
        UnexpectedAnswer: It is not one prediction for each text.
    """
    truncated = set(filter(None, reply.headers.get("x-truncated", "").split(",")))
    try:
        read = [
            prediction(labels, str(index) in truncated)
            for index, labels in enumerate(json.loads(reply.body)["predictions"])
        ]
    except (ValueError, LookupError, TypeError) as error:
        raise _unexpected(error, request_id) from None
    if len(read) != texts:
        raise UnexpectedAnswer(f"{texts} texts got {len(read)} predictions", request_id)
    return read


def info(reply: Reply, request_id: str) -> Info:
    """Read the answer of `GET /project/info`; what a newer service adds is left out.

    Raises:
        UnexpectedAnswer: Something is missing.
    """
    try:
        stated = json.loads(reply.body)
        limits = Limits(**{name: stated["limits"][name] for name in Limits._fields})
        known = {name: stated[name] for name in Info._fields}
        return Info(**{**known, "limits": limits, "labels": tuple(stated["labels"])})
    except (ValueError, LookupError, TypeError) as error:
        raise _unexpected(error, request_id) from None


def failure(reply: Reply, request_id: str, retry_after_s: float | None) -> StatusError:
    """Return the error that an answer stands for, whoever wrote it.

    Args:
        reply: An answer with another status than 200.
        request_id: The id that was sent.
        retry_after_s: What `Retry-After` asks for.
    """
    problem: dict[str, Any] = {}
    try:
        problem = dict(json.loads(reply.body))
    except (ValueError, TypeError):
        quoted = " ".join(reply.body.decode(errors="replace").split())[:QUOTED_CHARS]
        problem = {"detail": quoted}
    return status_error(reply.status, problem, request_id, retry_after_s)


def prediction(labels: list[dict[str, Any]], truncated: bool) -> Prediction:
    """Return the prediction that stands for one text in an answer.

    Args:
        labels: Labels with their scores, highest first.
        truncated: Whether the text has more tokens than the model reads.
    """
    scores = {str(item["label"]): float(item["score"]) for item in labels}
    label, score = next(iter(scores.items()))
    return Prediction(label, score, scores, truncated)


def _unexpected(error: Exception, request_id: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        f"the answer is not of this service's form: {type(error).__name__} {error}", request_id
    )
