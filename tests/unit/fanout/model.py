"""A model for flights to reach, and requests that take them."""

import asyncio
from collections.abc import Sequence

from serve_app.dispatch.calls import Landed
from serve_app.dispatch.coalescer import SingleFlight
from serve_app.scores import CallReply, TextLogits
from serve_app.settings import GatewaySettings

# Waiting for company ends when a call returns, here never by time.
SETTINGS = GatewaySettings(call_wait_s=1.0, calls_per_replica=2)


class Model:
    """Computes when let go, and remembers what it was asked."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.asked: list[list[str]] = []
        self.sizes: list[list[int]] = []
        self.cancelled = 0
        self.error: Exception | None = None

    async def compute(self, texts: Sequence[str], sizes: Sequence[int]) -> CallReply:
        self.asked.append(list(texts))
        self.sizes.append(list(sizes))
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error:
            raise self.error
        scored = [None if text == "poison" else logits(text) for text in texts]
        return CallReply(scored, 1.0, 2.0)


def logits(text: str) -> TextLogits:
    return TextLogits((float(len(text)), 0.0), truncated=False)


def by_key(*texts: str) -> dict[bytes, str]:
    return {text.encode(): text for text in texts}


async def ask(
    flights: SingleFlight, model: Model, texts: str, calls: int
) -> list[asyncio.Task[Landed]]:
    """Ask for each text in a request of its own, and return once so many calls are made."""
    callers = [asyncio.create_task(flights.score(by_key(text))) for text in texts]
    while len(model.asked) < calls:
        await asyncio.sleep(0)
    return callers
