"""Keeps browsers from taking an answer for anything but what its Content-Type says."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# https://fetch.spec.whatwg.org/#x-content-type-options-header
HEADER: Final = (b"x-content-type-options", b"nosniff")


class NoSniff:
    """ASGI middleware that marks every answer: texts of users may be part of one.

    Args:
        app: The application within.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""

        async def marked_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], HEADER]
            await send(message)

        await self._app(scope, receive, marked_send)
