"""What the synchronous and the asynchronous client set up alike."""

import uuid
from typing import Any, Final

import httpx2

from serve_app import __version__
from serve_app.client.exchange import NoReply

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
