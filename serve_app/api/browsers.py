"""Checks of requests against pages in a browser, which reach what its user reaches."""

import os
import re
from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Scope

from serve_app.errors import CrossOriginRequest, MisdirectedRequest

ALLOWED_HOSTS: Final = "SENTIMENT_ALLOWED_HOSTS"
"""Variable of the hosts that the service answers for, joined by commas; all of them without it."""
FOREIGN_HOST: Final = "This service has another Host; allowed_hosts adds names to those it has."
FOREIGN_PAGE: Final = "Pages of this origin may not ask; cors_origins names those that may."
FETCH_SITE: Final = "sec-fetch-site"
_LOOPBACK: Final = re.compile(r"localhost|127\.[0-9.]+|::1")


def loopback_hosts(address: str, names: Collection[str]) -> tuple[str, ...]:
    """Return the hosts of a service on loopback, with more names; none for another address."""
    own = ("localhost", "127.0.0.1", "[::1]", address, *names)
    return own if _LOOPBACK.fullmatch(address) else ()


def allowed_hosts() -> frozenset[str]:
    """Return the hosts of this process's environment, in lower case."""
    return frozenset(filter(None, os.environ.get(ALLOWED_HOSTS, "").lower().split(",")))


def check_host(scope: Scope, allowed: Collection[str]) -> None:
    """Refuse a request for another `Host`, whatever its port; a request without one passes.

    Raises:
        MisdirectedRequest: The host is not allowed.
    """
    for host in Headers(scope=scope).getlist("host") if allowed else ():
        if re.sub(r":\d*$", "", host).lower() not in allowed:
            raise MisdirectedRequest(FOREIGN_HOST)


def check_origin(scope: Scope, cors_origins: Collection[str]) -> None:
    """Refuse a request of a page of another origin, as browsers mark it.

    Raises:
        CrossOriginRequest: The origin is neither the service's nor among these.
    """
    headers = Headers(scope=scope)
    site, origin = headers.get(FETCH_SITE), headers.get("origin", "")
    # Browsers send the site to trustworthy addresses alone. A gateway may have changed the host.
    own = site in {"same-origin", "none"} if site else not origin or _is_own(origin, headers)
    if not own and origin not in cors_origins and "*" not in cors_origins:
        raise CrossOriginRequest(FOREIGN_PAGE)


def _is_own(origin: str, headers: Headers) -> bool:
    scheme, _, host = origin.partition("://")
    port = {"http": ":80", "https": ":443"}.get(scheme, "")
    return host.removesuffix(port) == headers.get("host", "").lower().removesuffix(port) != ""
