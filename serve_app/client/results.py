"""The results of the client, read from the answers of the service."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from serve_app.client.errors import BY_STATUS, PROXY_LOGIN, StatusError, UnexpectedAnswer


class Prediction(NamedTuple):
    """The model's prediction for one text: its most probable label and that one's probability.

    `scores` are the probabilities of all labels, highest first; they sum to 1, but for a model
    whose labels do not exclude each other (sigmoid). `truncated` says whether the text has more
    tokens than the model reads.
    """

    label: str
    score: float
    scores: dict[str, float]
    truncated: bool


class Limits(NamedTuple):
    """The limits of one request; characters and tokens are those of each text."""

    max_texts: int
    max_chars: int
    max_body_bytes: int
    max_tokens: int
    deadline_s: float


class Info(NamedTuple):
    """The model and the limits of a service.

    `labels` are in the order of the model's outputs, `digest` is hexadecimal and of its files, and
    `versions` has the packages that scores can depend on.
    """

    model: str
    revision: str
    digest: str
    engine: str
    labels: tuple[str, ...]
    limits: Limits
    versions: dict[str, str]


# A proxy may answer in place of the service, with a page of its own.
MAX_QUOTED_CHARS: Final = 200
MAX_BEGINNING_CHARS: Final = 60
# What reading another form of JSON raises.
NOT_OURS: Final = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


class Reply(NamedTuple):
    """A whole answer; names of headers are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def raise_for_status(reply: Reply, request_id: str) -> Reply:
    """Return an answer with status 200.

    Raises:
        StatusError: It has another status, from the service or from a proxy.
    """
    if reply.status == HTTPStatus.OK:
        return reply
    hint = ""
    try:
        problem: dict[str, Any] = dict(json.loads(reply.body))
    except (ValueError, TypeError, RecursionError):
        problem = {"detail": _quoted(reply.body)}
    if location := reply.headers.get("location"):
        problem = {"title": "Redirect", "detail": f"to {_quoted(location.encode())}"}
        hint = "give the address that it leads to, without /project"
    elif reply.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        hint = PROXY_LOGIN
    elif b"HTTPS" in reply.body and reply.status == HTTPStatus.BAD_REQUEST:
        hint = "use https://"
    kind = BY_STATUS.get(reply.status, StatusError)
    asked_s = retry_after_s(reply.headers.get("retry-after"), datetime.now(UTC))
    raise kind(reply.status, problem, request_id, asked_s, hint)


def _quoted(content: bytes) -> str:
    """Return the start of a content on one line, without what a terminal takes for commands."""
    text = content[: 4 * MAX_QUOTED_CHARS].decode(errors="replace")
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line[:MAX_QUOTED_CHARS]


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Return the seconds of a `Retry-After` header, a number or a date (RFC 9110, 10.2.3).

    Returns None where the header is absent or unreadable.
    """
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds())


def predictions(reply: Reply, texts: int, request_id: str) -> list[Prediction]:
    """Read the answer of `POST /project/predict` for a number of texts.

    Raises:
        UnexpectedAnswer: It is not one prediction for each text.
    """
    truncated = set(filter(None, reply.headers.get("x-truncated", "").split(",")))
    try:
        read = [
            prediction(labels, str(index) in truncated)
            for index, labels in enumerate(json.loads(reply.body)["predictions"])
        ]
    except NOT_OURS as error:
        raise _unexpected(error, reply, request_id) from None
    if len(read) != texts:
        raise UnexpectedAnswer(f"{texts} texts got {len(read)} predictions", request_id)
    return read


def prediction(labels: list[dict[str, Any]], truncated: bool) -> Prediction:
    """Return the prediction of one text, from its labels with their scores, highest first."""
    scores = {str(item["label"]): float(item["score"]) for item in labels}
    [label, *_] = scores
    return Prediction(label, scores[label], scores, truncated)


def info(reply: Reply, request_id: str) -> Info:
    """Read the answer of `GET /project/info`, without the members that a newer service adds.

    Raises:
        UnexpectedAnswer: A member is missing.
    """
    try:
        stated = json.loads(reply.body)
        limits = Limits(**{name: stated["limits"][name] for name in Limits._fields})
        if not all(number > 0 for number in limits):
            raise ValueError("a limit is not a number above 0")
        known = {name: stated[name] for name in Info._fields}
        return Info(**{**known, "limits": limits, "labels": tuple(stated["labels"])})
    except NOT_OURS as error:
        raise _unexpected(error, reply, request_id) from None


def _unexpected(error: Exception, reply: Reply, request_id: str) -> UnexpectedAnswer:
    kind = _quoted(reply.headers.get("content-type", "of no type").encode())
    begins = _quoted(reply.body)[:MAX_BEGINNING_CHARS] or "empty"
    return UnexpectedAnswer(
        f"the answer does not have this service's form ({type(error).__name__}): {kind}, {begins}",
        request_id,
        "is the URL the address of this service, without /project?",
    )
