"""From texts to the bodies of requests, within the limits of the service."""

import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple, TypeVar

import httpx2

from serve_app import __version__
from serve_app.client.errors import TextRefused
from serve_app.client.results import Limits
from serve_app.client.retry import NoReply

# A request of this size takes an engine a second or two at most, however long its texts are, so
# that it is answered long before the deadline, spreads over replicas, and loses little when it
# has to be sent again. More in a request than this is no faster.
REQUEST_TEXTS: Final = 64
REQUEST_BYTES: Final = 64 * 1024

_HEAD, _COMMA, _TAIL = b'{"text":[', b",", b"]}"
_FRAME_BYTES: Final = len(_HEAD) + len(_TAIL)

Item = TypeVar("Item")


class Budget(NamedTuple):
    """What one request carries at most, except that one text always fits."""

    texts: int
    bytes: int


class Body(NamedTuple):
    """A request's body and how many texts it carries."""

    texts: int
    content: bytes


def budget(limits: Limits) -> Budget:
    """Return what a request is to carry where the service has these limits."""
    return Budget(
        texts=min(REQUEST_TEXTS, limits.max_texts),
        bytes=min(REQUEST_BYTES, limits.max_body_bytes - _FRAME_BYTES),
    )


def refusal(text: str, limits: Limits) -> str:
    """Return why the service would refuse a text, as the rest of a sentence; empty where not."""
    if len(text) > limits.max_chars:
        return f"has {len(text)} characters, at most {limits.max_chars} are accepted"
    try:
        size = len(_encoded(text))
    except UnicodeEncodeError as error:
        return f"has no UTF-8 form: a lone surrogate at character {error.start}"
    most = limits.max_body_bytes - _FRAME_BYTES
    return f"has {size} bytes, at most {most} fit into a request" if size > most else ""


def refuse_string(texts: Iterable[str]) -> None:
    """Refuse one string, which would be taken for as many texts as it has characters.

    Raises:
        TypeError: It is one.
    """
    if isinstance(texts, str):
        raise TypeError("this takes texts; write [text] for one")


def bodies(texts: Iterable[str], limits: Limits) -> Iterator[Body]:
    """Divide texts into requests, in order; takes no more of them than the next request needs.

    Raises:
        TextRefused: The service would refuse a text.
    """
    for items in chunks(_accepted(texts, limits), len, budget(limits)):
        yield Body(len(items), _HEAD + _COMMA.join(items) + _TAIL)


def chunks(
    items: Iterable[Item], size: Callable[[Item], int], most: Budget
) -> Iterator[list[Item]]:
    """Divide items into lists that keep a budget.

    Args:
        items: What to divide.
        size: Returns an item's bytes, to which a separator is added.
        most: What a list may hold.
    """
    chunk: list[Item] = []
    total = 0
    for item in items:
        more = size(item) + len(_COMMA)
        if chunk and (len(chunk) >= most.texts or total + more > most.bytes):
            yield chunk
            chunk, total = [], 0
        chunk.append(item)
        total += more
    if chunk:
        yield chunk


def _accepted(texts: Iterable[str], limits: Limits) -> Iterator[bytes]:
    for index, text in enumerate(texts):
        if reason := refusal(text, limits):
            raise TextRefused(index, reason)
        yield _encoded(text)


def _encoded(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()


PREDICT: Final = "/project/predict"
INFO: Final = "/project/info"

DEFAULT_URL: Final = "http://127.0.0.1:8000"
DEFAULT_DEADLINE_S: Final = 60.0
DEFAULT_CONCURRENCY: Final = 4

CONNECT_TIMEOUT_S: Final = 5.0

_MOST_PORT: Final = 65_535


def options(url: str, api_key: str | None) -> dict[str, Any]:
    """Return the arguments of an httpx client.

    Args:
        url: Where the service is, without `/project`.
        api_key: Sent as a bearer token, without white space around it.

    Raises:
        ValueError: The URL is not one of HTTP, or the key is none that a header can carry.
    """
    _check_url(url)
    # What a key file gives ends with a line end.
    api_key = (api_key or "").strip()
    if not (api_key.isascii() and api_key.isprintable()):
        raise ValueError("the API key has characters that are not printable ASCII")
    headers = {"User-Agent": f"sentiment-serve/{__version__}", "Content-Type": "application/json"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    return {"base_url": url, "headers": headers}


def _check_url(url: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is no URL that starts with http:// or https://")
    try:
        parsed = httpx2.URL(url)
        # As sockets do before they look a name up.
        parsed.host.encode("idna")
    except (httpx2.InvalidURL, UnicodeError) as error:
        raise ValueError(f"{url!r} is no URL: {error}") from None
    if not parsed.host:
        raise ValueError(f"{url!r} names no host")
    if parsed.port is not None and parsed.port > _MOST_PORT:
        raise ValueError(f"{url!r} has a port above {_MOST_PORT}")


def timeout(seconds: float) -> httpx2.Timeout:
    """Return the timeouts of an attempt: a server that is down is noticed early."""
    return httpx2.Timeout(seconds, connect=min(seconds, CONNECT_TIMEOUT_S))


def new_request_id() -> str:
    """Return an id that a request keeps over all its attempts."""
    return uuid.uuid4().hex


def no_reply(error: httpx2.HTTPError | TimeoutError, url: str) -> NoReply:
    """Return why there is no answer, in one line, and whether there may be one later."""
    said = str(error) or type(error).__name__
    own_fault = isinstance(error, httpx2.LocalProtocolError | httpx2.UnsupportedProtocol)
    return NoReply(f"no answer from {url}: {said}", may_pass=not own_fault)
