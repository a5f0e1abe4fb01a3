"""Load with everything that the panels show: hits, misses, duplicates, errors, refusals."""

import asyncio
import random
import threading
from contextlib import suppress

import httpx

WORDS = ("slow", "dull", "never", "great", "warm", "fine", "odd", "loud", "joy", "film", "and")
POPULAR = [f"everybody says it is number {n}" for n in range(10)]


async def drive(url: str, wanted: threading.Event) -> dict[int, int]:
    """Send requests as long as they are wanted.

    Returns:
        How many were answered, by status; 0 where the client left.
    """
    counts: dict[int, int] = {}
    limits = httpx.Limits(max_connections=64)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=30) as client:
        await asyncio.gather(
            *(_readers(client, wanted, counts, random.Random(seed)) for seed in range(4)),
            _mistakes(client, wanted, counts),
            _crowds(client, wanted, counts),
            _impatient(client, wanted, counts),
        )
    return counts


def text(source: random.Random) -> str:
    return " ".join(source.choices(WORDS, k=20)) + f" {source.random()}"


async def _post(client: httpx.AsyncClient, counts: dict[int, int], texts: object) -> None:
    status = (await client.post("/project/predict", json={"text": texts})).status_code
    counts[status] = counts.get(status, 0) + 1


async def _readers(
    client: httpx.AsyncClient,
    wanted: threading.Event,
    counts: dict[int, int],
    source: random.Random,
) -> None:
    while wanted.is_set():
        popular = source.choice(POPULAR)
        await _post(client, counts, [popular, source.choice(POPULAR), text(source)])
        await asyncio.sleep(0.02)


async def _mistakes(
    client: httpx.AsyncClient, wanted: threading.Event, counts: dict[int, int]
) -> None:
    while wanted.is_set():
        await _post(client, counts, "no list")
        await _post(client, counts, ["wonderful " * 600])
        await asyncio.sleep(0.5)


async def _crowds(
    client: httpx.AsyncClient, wanted: threading.Event, counts: dict[int, int]
) -> None:
    """Ask for more texts at once than a gateway lets wait, many of them shared."""
    source = random.Random(99)
    while wanted.is_set():
        same = [text(source) for _ in range(32)]
        crowd = [[text(source) for _ in range(200)] for _ in range(3)]
        await asyncio.gather(*(_post(client, counts, texts) for texts in [same, same, *crowd]))
        await asyncio.sleep(5)


async def _impatient(
    client: httpx.AsyncClient, wanted: threading.Event, counts: dict[int, int]
) -> None:
    """Leave before the answer."""
    source = random.Random(7)
    while wanted.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(0.03):
                await _post(client, counts, [text(source) for _ in range(100)])
        counts[0] = counts.get(0, 0) + 1
        await asyncio.sleep(1)
