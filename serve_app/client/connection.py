"""What the synchronous and the asynchronous client set up alike."""

import uuid
from typing import Any, Final

import httpx2

from serve_app import __version__

PREDICT: Final = "/project/predict"
INFO: Final = "/project/info"

DEFAULT_URL: Final = "http://127.0.0.1:8000"
DEFAULT_DEADLINE_S: Final = 60.0
DEFAULT_CONCURRENCY: Final = 4

CONNECT_TIMEOUT_S: Final = 5.0


def options(url: str, api_key: str | None) -> dict[str, Any]:
    """Return the arguments of an httpx client.

    Args:
        url: Where the service is, without `/project`.
        api_key: Sent as a bearer token.

    Raises:
        ValueError: The URL is not one of HTTP.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is no URL that starts with http:// or https://")
    headers = {"User-Agent": f"sentiment-serve/{__version__}", "Content-Type": "application/json"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    return {"base_url": url, "headers": headers}


def timeout(seconds: float) -> httpx2.Timeout:
    """Return the timeouts of an attempt: a server that is down is noticed early."""
    return httpx2.Timeout(seconds, connect=min(seconds, CONNECT_TIMEOUT_S))


def new_request_id() -> str:
    """Return an id that a request keeps over all its attempts."""
    return uuid.uuid4().hex


def reason(error: httpx2.HTTPError | httpx2.InvalidURL, url: str) -> str:
    """Return why there is no answer, in one line."""
    said = str(error) or type(error).__name__
    return f"no answer from {url}: {said}"
