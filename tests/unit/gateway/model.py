"""A model for a gateway to ask, and the asking."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from serve_app.errors import DeadlineExceeded, ModelUnavailable, Overloaded
from serve_app.gateway.gateway import Gateway
from serve_app.model.store import ModelIdentity
from serve_app.scores import CallReply, Classification, TextLogits

MODEL = ModelIdentity(Path(), "m", "r", "d", ("NEGATIVE", "POSITIVE"), 512, 0)


class Model:
    """Scores a text by its length; fails on poison, waits for what is slow."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.available = True
        self.busy = False
        self.silent = False
        self.late_s = 0.0
        self.go_on = asyncio.Event()

    async def classify(
        self, texts: Sequence[str], within_s: float, sizes: Sequence[int] = ()
    ) -> CallReply:
        self.asked.append(list(texts))
        if not self.available:
            raise ModelUnavailable("no replica")
        if "slow" in texts:
            await self.go_on.wait()
        if self.late_s:
            await asyncio.sleep(self.late_s)
        if self.silent:
            await asyncio.sleep(within_s)
            raise DeadlineExceeded("silent")
        if "busy" in texts or self.busy:
            raise Overloaded("busy")
        return CallReply([None if t == "poison" else logits(t) for t in texts], 3.0, 7.0)

    def replicas(self) -> int:
        return int(self.available)


def logits(text: str) -> TextLogits:
    return TextLogits((float(len(text)), 1.0), truncated=len(text) > 9)


async def classify(gateway: Gateway, *texts: str, within_s: float = 9) -> Classification:
    return await gateway.classify(gateway.keyed(texts), within_s)
