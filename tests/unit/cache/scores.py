"""Keys, values and waiting, as the tests of the cache need them."""

import asyncio
from collections.abc import Callable, Iterable

from serve_app.cache.score_cache import KeySpace, ScoreCache
from serve_app.scores import TextLogits

KEYS = KeySpace("d" * 64, "onnx-int8")
GUARD_S = 20.0

Opener = Callable[..., ScoreCache]
"""The fixture `open_scores`: takes a URL and settings by name."""


def score(number: int) -> TextLogits:
    return TextLogits((float(number), number / 4), truncated=number % 2 == 1)


def scores(numbers: Iterable[int]) -> dict[bytes, TextLogits]:
    return {KEYS.key(f"text {number}"): score(number) for number in numbers}


async def recover(cache: ScoreCache) -> None:
    """Probe until the cache is well."""
    async with asyncio.timeout(GUARD_S):
        await cache.probe()
        while cache.state != "ok":
            await asyncio.sleep(0.05)
            await cache.probe()
