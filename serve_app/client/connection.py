"""The connection to a service: its address, its proxy, its certificates, and why it failed."""

import ipaddress
import os
import ssl
from collections.abc import Callable
from typing import Any, Final, TypeVar
from urllib.request import getproxies

import httpx2

from serve_app import __version__
from serve_app.client.errors import PROXY_LOGIN, ConnectionFailed

CONNECT_TIMEOUT_S: Final = 5.0
MAX_PORT: Final = 65_535

Http = TypeVar("Http", httpx2.Client, httpx2.AsyncClient)


def open_http(kind: Callable[..., Http], url: str, api_key: str | None) -> Http:
    """Return an httpx client of a kind; it connects when it is used.

    Raises:
        ValueError: The URL is not an HTTP URL, or a header cannot carry the key.
        ConnectionFailed: A variable of the environment names an unusable proxy or certificate.
    """
    host = _host(url)
    # The content of a key file ends with a line end.
    api_key = (api_key or "").strip()
    if not (api_key.isascii() and api_key.isprintable()):
        raise ValueError("the API key has characters that are not printable ASCII")
    headers = {"User-Agent": f"sentiment-serve/{__version__}", "Content-Type": "application/json"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    options: dict[str, Any] = {"base_url": url, "headers": headers, "verify": _tls(url)}
    try:
        # What the environment still decides is the proxy.
        return kind(**options, trust_env=not _is_loopback(host))
    except ImportError:
        hint = "install socksio, or name an HTTP proxy"
    except (ValueError, httpx2.InvalidURL):
        # The reason would repeat parts of the URL, which may hold a password.
        hint = "write http://host:port, or unset it"
    raise ConnectionFailed(f"{_proxies()} does not name a proxy that can be used", hint=hint)


def _host(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} does not start with http:// or https://")
    try:
        parsed = httpx2.URL(url)
        # Sockets encode a name in the same way before they look it up.
        parsed.host.encode("idna")
    except (httpx2.InvalidURL, UnicodeError) as error:
        raise ValueError(f"{url!r} is not a URL: {error}") from None
    if not parsed.host or (parsed.port or 0) > MAX_PORT:
        raise ValueError(f"{url!r} has no host, or a port above {MAX_PORT}")
    return parsed.host


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def _proxies() -> str:
    """Return the variables that name proxies, in words; empty without one."""
    named = (name for name in ("http", "https", "all") if getproxies().get(name))
    return " and ".join(f"${name.upper()}_PROXY" for name in named)


def _tls(url: str) -> ssl.SSLContext:
    if not url.startswith("https:"):
        # The certificates of the system take 20 ms to load.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for name, exists in (("SSL_CERT_FILE", os.path.isfile), ("SSL_CERT_DIR", os.path.isdir)):
        path = os.environ.get(name)
        if path and not exists(path):
            raise ConnectionFailed(
                f"${name} names {path}, which does not exist", hint="correct it, or unset it"
            )
    try:
        return httpx2.create_ssl_context()
    except OSError as error:
        raise ConnectionFailed(
            f"the certificates cannot be loaded: {error}",
            hint="name a file in the PEM form with $SSL_CERT_FILE",
        ) from None


def http_timeout(seconds: float) -> httpx2.Timeout:
    """Return the timeouts of an attempt; the one to connect is short: a server may be down."""
    return httpx2.Timeout(seconds, connect=min(seconds, CONNECT_TIMEOUT_S))


# What is said of an error, and what to do then; a request is not repeated after it.
_FINAL: Final = (
    ("is not valid for", "use a name that its certificate has"),
    ("CERTIFICATE_VERIFY_FAILED", "name the certificate of its authority with $SSL_CERT_FILE"),
    ("[SSL", "does it speak plain HTTP? use http://"),
    ("illegal", "it does not speak HTTP: does it want https://, or another port?"),
    ("407 ", PROXY_LOGIN),
    ("403 ", "the proxy forbids it: name the host in $NO_PROXY"),
)
# A server of TLS does so with plain HTTP.
_BROKEN: Final = (httpx2.ReadError, httpx2.RemoteProtocolError)


def connection_failed(error: Exception, url: str, request_id: str) -> ConnectionFailed:
    """Return why there is no answer, what to do, and whether there may be an answer later."""
    is_late = isinstance(error, httpx2.TimeoutException | TimeoutError)
    reason = str(error) or ("timed out" if is_late else "the connection broke")
    hint = ""
    # Nothing but another URL or another key would help.
    final = isinstance(error, httpx2.LocalProtocolError | httpx2.UnsupportedProtocol)
    if isinstance(error, httpx2.ConnectError | httpx2.ProxyError | httpx2.RemoteProtocolError):
        hint = next((hint for said, hint in _FINAL if said in reason), "")
        final = bool(hint)
    if not hint and (variables := _proxies()) and not _is_loopback(httpx2.URL(url).host):
        hint = f"is the proxy of {variables} right? name the host in $NO_PROXY to go without it"
    elif not hint and isinstance(error, _BROKEN) and url.startswith("http:"):
        hint = "does it want https://?"
    return ConnectionFailed(f"no answer from {url}: {reason}", request_id, hint, final=final)
