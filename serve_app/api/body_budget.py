"""One bound on the bytes of all bodies that a gateway holds at a time."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.errors import Overloaded
from serve_app.gateway.service import SentimentService

# Of each body, so much is not counted: large ones that stall do not keep small requests out, whose
# number Ray bounds (`max_ongoing_requests`), but for the 20 ms that they may be in the fast lane.
FREE_BYTES: Final = 16 * 1024


class BodyBudget:
    """ASGI middleware that counts the bytes of bodies from their arrival to the request's end.

    Args:
        app: The application within. Its `receive` raises `Overloaded` beyond the budget.
        service: Its settings have the budget, `max_pending_bytes`.

    Attributes:
        pending: Bytes that are counted now.
    """

    def __init__(self, app: ASGIApp, service: SentimentService) -> None:
        self.pending = 0
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        received = charged = 0

        async def counted_receive() -> Message:
            nonlocal received, charged
            message = await receive()
            received += len(message.get("body", b""))
            more = max(0, received - FREE_BYTES) - charged
            if more:
                if self.pending + more > self._service.settings.max_pending_bytes:
                    raise Overloaded("The bodies of other requests take all the room there is.")
                self.pending += more
                charged += more
            return message

        try:
            await self._app(scope, counted_receive, send)
        finally:
            self.pending -= charged
