"""Load with everything that the panels show: hits, misses, duplicates, errors, refusals."""

import json
import random
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

from loadtest.connections import Request
from loadtest.generator import Load, Stream

WORDS = ("slow", "dull", "never", "great", "warm", "fine", "odd", "loud", "joy", "film", "and")
POPULAR = [f"everybody says it is number {n}" for n in range(10)]


def load_on(url: str) -> Load:
    """Return a load on a service; its answers are counted, not checked."""
    streams = (
        (Stream("readers", connections=4, pause_s=0.02), _requests(_popular)),
        (Stream("mistakes", connections=1, pause_s=0.25), _mistakes()),
        # More texts at once than a gateway lets wait, many of them shared.
        (Stream("crowds", connections=5, pause_s=5), _crowds()),
        (Stream("impatient", connections=1, pause_s=1, leave_s=0.03), _requests(_many)),
    )
    return Load([f"{url}/project/predict"], lambda *_: "", streams)


def text(source: random.Random) -> str:
    return " ".join(source.choices(WORDS, k=20)) + f" {source.random()}"


def _popular(source: random.Random) -> list[str]:
    return [source.choice(POPULAR), source.choice(POPULAR), text(source)]


def _many(source: random.Random) -> list[str]:
    return [text(source) for _ in range(100)]


def _requests(draw: Callable[[random.Random], list[str]]) -> Iterator[Request]:
    source = random.Random(draw.__name__)
    while True:
        yield _request(draw(source))


def _mistakes() -> Iterator[Request]:
    return map(_request, cycle(["no list", ["wonderful " * 600]]))


def _crowds() -> Iterator[Request]:
    source = random.Random(99)
    while True:
        same = _request([text(source) for _ in range(32)])
        yield from (same, same)
        yield from (_request([text(source) for _ in range(200)]) for _ in range(3))


def _request(texts: Any) -> Request:
    return Request(json.dumps({"text": texts}).encode(), texts)
