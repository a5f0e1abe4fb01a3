"""Requests to the service: their settings, their texts, and their order."""

import json
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import Any, Final, NamedTuple, TypeVar

import httpx2

from serve_app import __version__
from serve_app.client.errors import TextRefused
from serve_app.client.results import Limits

DEFAULT_URL: Final = "http://127.0.0.1:8000"
DEFAULT_DEADLINE_S: Final = 60.0
DEFAULT_CONCURRENCY: Final = 4

CONNECT_TIMEOUT_S: Final = 5.0
MAX_PORT: Final = 65_535

# A request of this size takes an engine a second or two at most, however long its texts are, so
# that it is answered long before the deadline, spreads over replicas, and loses little when it
# has to be sent again. Larger requests are no faster.
REQUEST_TEXTS: Final = 64
REQUEST_BYTES: Final = 64 * 1024

_HEAD, _COMMA, _TAIL = b'{"text":[', b",", b"]}"
_FRAME_BYTES: Final = len(_HEAD) + len(_TAIL)

Item = TypeVar("Item")
Result = TypeVar("Result")


def http_options(url: str, api_key: str | None) -> dict[str, Any]:
    """Return the arguments of an httpx client.

    Raises:
        ValueError: The URL is not an HTTP URL, or a header cannot carry the key.
    """
    _check_url(url)
    # The content of a key file ends with a line end.
    api_key = (api_key or "").strip()
    if not (api_key.isascii() and api_key.isprintable()):
        raise ValueError("the API key has characters that are not printable ASCII")
    headers = {"User-Agent": f"sentiment-serve/{__version__}", "Content-Type": "application/json"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    return {"base_url": url, "headers": headers}


def _check_url(url: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} does not start with http:// or https://")
    try:
        parsed = httpx2.URL(url)
        # Sockets encode a name in the same way before they look it up.
        parsed.host.encode("idna")
    except (httpx2.InvalidURL, UnicodeError) as error:
        raise ValueError(f"{url!r} is not a URL: {error}") from None
    if not parsed.host:
        raise ValueError(f"{url!r} has no host")
    if parsed.port is not None and parsed.port > MAX_PORT:
        raise ValueError(f"{url!r} has a port above {MAX_PORT}")


def http_timeout(seconds: float) -> httpx2.Timeout:
    """Return the timeouts of an attempt; the one to connect is short: a server may be down."""
    return httpx2.Timeout(seconds, connect=min(seconds, CONNECT_TIMEOUT_S))


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


def refusal(text: str, limits: Limits) -> str:
    """Return why the service would refuse a text, as a predicate; empty if it would not."""
    if len(text) > limits.max_chars:
        return f"has {len(text)} characters, at most {limits.max_chars} are accepted"
    try:
        size = len(_encoded(text))
    except UnicodeEncodeError as error:
        return f"has no UTF-8 form: a lone surrogate at character {error.start}"
    max_bytes = limits.max_body_bytes - _FRAME_BYTES
    return f"has {size} bytes, at most {max_bytes} fit into a request" if size > max_bytes else ""


def refuse_string(texts: Iterable[str]) -> None:
    """Refuse a string, which would count as one text for each of its characters.

    Raises:
        TypeError: It is a string.
    """
    if isinstance(texts, str):
        raise TypeError("predict and stream take several texts; write [text] for one")


def divide(texts: Iterable[str], limits: Limits) -> Iterator[Request]:
    """Divide texts into requests, in order; takes no more texts than the next request needs.

    Raises:
        TextRefused: The service would refuse a text.
    """
    for items in chunks(_accepted(texts, limits), len, budget(limits)):
        content = _HEAD + _COMMA.join(items) + _TAIL
        yield Request("POST", "/project/predict", content, len(items), uuid.uuid4().hex)


def _accepted(texts: Iterable[str], limits: Limits) -> Iterator[bytes]:
    for index, text in enumerate(texts):
        if reason := refusal(text, limits):
            raise TextRefused(index, reason)
        yield _encoded(text)


def _encoded(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()


def chunks(
    items: Iterable[Item], size: Callable[[Item], int], maximum: Budget
) -> Iterator[list[Item]]:
    """Divide items into lists within a budget; `size` returns the bytes of an item."""
    chunk: list[Item] = []
    total = 0
    for item in items:
        added = size(item) + len(_COMMA)
        if chunk and (len(chunk) >= maximum.texts or total + added > maximum.bytes):
            yield chunk
            chunk, total = [], 0
        chunk.append(item)
        total += added
    if chunk:
        yield chunk


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
