"""Requests to the service: their texts, their order, and their attempts."""

import json
import random
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from serve_app.client.errors import (
    ConnectionFailed,
    DeadlinePassed,
    Overloaded,
    SentimentError,
    ServerTimeout,
    StatusError,
    TextRefused,
    Unavailable,
)
from serve_app.client.results import Limits

DEFAULT_URL: Final = "http://127.0.0.1:8000"
DEFAULT_DEADLINE_S: Final = 60.0
DEFAULT_CONCURRENCY: Final = 4

# A request of this size takes an engine a second or two at most, however long its texts are, so
# that it is answered long before the deadline, spreads over replicas, and loses little when it
# has to be sent again. Larger requests are no faster.
REQUEST_TEXTS: Final = 64
REQUEST_BYTES: Final = 64 * 1024

MAX_SHOWN_CHARS: Final = 40

_HEAD, _COMMA, _TAIL = b'{"text":[', b",", b"]}"
_FRAME_BYTES: Final = len(_HEAD) + len(_TAIL)

Item = TypeVar("Item")
Result = TypeVar("Result")


class Request(NamedTuple):
    """A request with a number of texts, the same in all its attempts."""

    method: str
    path: str
    content: bytes
    texts: int
    id: str


def info_request() -> Request:
    """Return a request for the model and its limits."""
    return Request("GET", "/project/info", b"", 0, uuid.uuid4().hex)


class Budget(NamedTuple):
    """The maximum content of one request; a single text may exceed it."""

    texts: int
    bytes: int


def budget(limits: Limits) -> Budget:
    """Return the content to give a request where the service has these limits."""
    return Budget(
        texts=min(REQUEST_TEXTS, limits.max_texts),
        bytes=min(REQUEST_BYTES, limits.max_body_bytes - _FRAME_BYTES),
    )


def refusal(text: object, limits: Limits) -> str:
    """Return why the service would refuse a text, as a predicate; empty if it would not."""
    if not isinstance(text, str):
        return f"is not a string but {type(text).__name__}: {_shortened(text)}"
    if len(text) > limits.max_chars:
        return f"has {len(text)} characters, at most {limits.max_chars} are accepted"
    try:
        size = len(_encoded(text))
    except UnicodeEncodeError as error:
        return f"has no UTF-8 form: a lone surrogate at character {error.start}"
    max_bytes = limits.max_body_bytes - _FRAME_BYTES
    return f"has {size} bytes, at most {max_bytes} fit into a request" if size > max_bytes else ""


def _shortened(value: object) -> str:
    shown = " ".join(repr(value).split())
    return shown if len(shown) <= MAX_SHOWN_CHARS else f"{shown[: MAX_SHOWN_CHARS - 1]}…"


def refuse_string(texts: Iterable[str]) -> None:
    """Refuse what yields something else than texts: characters, keys, names of columns.

    Raises:
        TypeError: It is a string, bytes, a mapping or a data frame.
    """
    if isinstance(texts, str | bytes | bytearray):
        raise TypeError("predict and stream take several texts; write [text] for one")
    if isinstance(texts, Mapping) or hasattr(texts, "columns"):
        raise TypeError(f"{type(texts).__name__} is not a list of texts; give one of its columns")


def divide(texts: Iterable[str], limits: Limits) -> Iterator[Request]:
    """Divide texts into requests, in order; takes no more texts than the next request needs.

    Raises:
        TextRefused: The service would refuse a text.
    """
    for items in portions(_accepted(texts, limits), len, budget(limits)):
        content = _HEAD + _COMMA.join(items) + _TAIL
        yield Request("POST", "/project/predict", content, len(items), uuid.uuid4().hex)


def _accepted(texts: Iterable[str], limits: Limits) -> Iterator[bytes]:
    for index, text in enumerate(texts):
        if reason := refusal(text, limits):
            raise TextRefused(index, reason)
        yield _encoded(text)


def _encoded(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()


def portions(
    items: Iterable[Item], size: Callable[[Item], int], maximum: Budget
) -> Iterator[list[Item]]:
    """Divide items into lists within a budget; `size` returns the bytes of an item."""
    portion: list[Item] = []
    total = 0
    for item in items:
        added = size(item) + len(_COMMA)
        if portion and (len(portion) >= maximum.texts or total + added > maximum.bytes):
            yield portion
            portion, total = [], 0
        portion.append(item)
        total += added
    if portion:
        yield portion


def in_order(
    executor: Executor, function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """Call a function for each item, and yield the results in order.

    Unlike `Executor.map` before Python 3.14 (`buffersize`), this takes items only as fast as
    results are taken: at most `ahead` calls have results that nobody has taken. Closing the
    iterator cancels the calls that have not begun.
    """
    calls: deque[Future[Result]] = deque()
    try:
        for item in items:
            if len(calls) >= ahead:
                yield calls.popleft().result()
            calls.append(executor.submit(function, item))
        while calls:
            yield calls.popleft().result()
    finally:
        for call in calls:
            call.cancel()


# Predictions are idempotent, so that a request may be repeated after each of these.
RETRYABLE: Final = (ConnectionFailed, Overloaded, Unavailable, ServerTimeout)


class RetryPolicy(NamedTuple):
    """The number of retries and the waits between them.

    `base_s` is the maximum wait before the first one and doubles each time, up to `cap_s`; the
    service may ask for more.
    """

    retries: int = 5
    base_s: float = 0.5
    cap_s: float = 10.0

    def wait_s(self, retry: int, asked_s: float | None) -> float:
        """Return the seconds to wait before a retry, numbered from 0 on.

        "Full jitter", which spreads clients that failed together the best:
        https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
        It is added to `asked_s`, the value of `Retry-After`, which is the same for all of them.
        """
        # A float cannot hold a power of two far beyond any cap.
        max_s = min(self.cap_s, self.base_s * 2.0 ** min(retry, 64))
        return (asked_s or 0.0) + random.random() * max_s


@dataclass
class Attempts:
    """The attempts of one request until a deadline, a time of `time.monotonic`."""

    policy: RetryPolicy
    deadline: float
    request_id: str
    retries: int = 0

    def left_s(self) -> float:
        """Return the seconds until the deadline.

        Raises:
            DeadlinePassed: The deadline has passed.
        """
        left_s = self.deadline - time.monotonic()
        if left_s <= 0:
            raise DeadlinePassed("no answer within the deadline", self.request_id)
        return left_s

    def wait_s(self, error: SentimentError) -> float:
        """Return the seconds to wait after an attempt with a retryable error.

        Raises:
            SentimentError: There is no next attempt: this error, or `DeadlinePassed`.
        """
        left_s = self.left_s()
        asked_s = error.retry_after_s if isinstance(error, StatusError) else None
        wait_s = self.policy.wait_s(self.retries, asked_s)
        if error.final or self.retries >= self.policy.retries or wait_s >= left_s:
            raise error
        self.retries += 1
        return wait_s
