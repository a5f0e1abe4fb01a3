"""The application's ASGI middleware, and checks of API key, host and origin."""

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app import api_keys, errors
from serve_app.api.openapi import HEADERS
from serve_app.api.problems import on_error
from serve_app.gateway import SentimentService
from serve_app.settings import GatewaySettings

# https://fetch.spec.whatwg.org/#x-content-type-options-header
NO_SNIFF: Final = {"X-Content-Type-Options": "nosniff"}
FETCH_SITE: Final = "sec-fetch-site"
_LOOPBACK: Final = re.compile(r"localhost|127\.[0-9.]+|::1")


def default_headers(app: ASGIApp, headers: Mapping[str, str]) -> ASGIApp:
    """Return ASGI middleware that adds headers to the answers that lack them."""

    async def stage(scope: Scope, receive: Receive, send: Send) -> None:
        async def complete_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = MutableHeaders(scope=message)
                for name, value in headers.items():
                    sent.setdefault(name, value)
            await send(message)

        await app(scope, receive, complete_send)

    return stage


def cross_origin(app: ASGIApp, service: SentimentService) -> ASGIApp:
    """Return ASGI middleware that grants CORS to the origins of the service's settings.

    Starlette's own middleware fixes the origins and refuses others in plain text. Here the origins
    may change while the service runs, and a request of another origin is answered like any
    request: its browser keeps the answer from the page.
    """

    @lru_cache(1)
    def granting(origins: tuple[str, ...]) -> ASGIApp:
        return CORSMiddleware(
            app,
            allow_origins=origins,
            # Cookies are never allowed, so a page gains nothing that its server could not ask for.
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=list(HEADERS),
        )

    async def stage(scope: Scope, receive: Receive, send: Send) -> None:
        origins = service.settings.cors_origins
        origin = Headers(scope=scope).get("origin") if origins and scope["type"] == "http" else None
        granted = origin and (origin in origins or "*" in origins)
        await (granting(origins) if granted else app)(scope, receive, send)

    return stage


def unexpected_errors(app: ASGIApp) -> ASGIApp:
    """Return ASGI middleware that answers an unexpected error with a problem of status 500.

    Starlette's own raises the error again, and the server would log its message, which may quote
    a user's text.
    """

    async def stage(scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def observed_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await app(scope, receive, observed_send)
        except Exception as error:
            if started or scope["type"] != "http":
                raise
            response = await on_error(Request(scope), error)
            await response(scope, receive, send)

    return stage


def check_key(settings: GatewaySettings, scope: Scope) -> None:
    """Raise `Unauthorized` where the settings name API keys and the request has none (RFC 6750)."""
    if settings.api_keys:
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        # Starlette decodes headers as latin-1, which gives every byte back.
        key = token.strip().encode("latin-1") if scheme.lower() == "bearer" else b""
        if not api_keys.accepts(settings.api_keys, key):
            problem = "This API key is not known." if key else "An API key is needed."
            raise errors.Unauthorized(f"{problem} Send `Authorization: Bearer KEY`.")


def loopback_hosts(address: str, names: Collection[str]) -> tuple[str, ...]:
    """Return the hosts of a service on loopback, with more names; none for another address."""
    own = ("localhost", "127.0.0.1", "[::1]", address, *names)
    return own if _LOOPBACK.fullmatch(address) else ()


def check_host(scope: Scope, allowed: Collection[str]) -> None:
    """Raise `MisdirectedRequest` for another `Host`, whatever its port; none at all passes."""
    for host in Headers(scope=scope).getlist("host") if allowed else ():
        if _name(host) not in allowed:
            raise errors.MisdirectedRequest(errors.FOREIGN_HOST)


@lru_cache(8)
def _name(host: str) -> str:
    return re.sub(r":\d*$", "", host).lower()


def check_origin(scope: Scope, cors_origins: Collection[str]) -> None:
    """Raise `CrossOriginRequest` for a page whose origin is neither the service's nor of these."""
    headers = Headers(scope=scope)
    site, origin = headers.get(FETCH_SITE), headers.get("origin", "")
    # Browsers send the site to trustworthy addresses alone. A gateway may have changed the host.
    own = site in {"same-origin", "none"} if site else not origin or _is_own(origin, headers)
    if not own and origin not in cors_origins and "*" not in cors_origins:
        raise errors.CrossOriginRequest(errors.FOREIGN_PAGE)


def _is_own(origin: str, headers: Headers) -> bool:
    scheme, _, host = origin.partition("://")
    port = {"http": ":80", "https": ":443"}.get(scheme, "")
    return host.removesuffix(port) == headers.get("host", "").lower().removesuffix(port) != ""
