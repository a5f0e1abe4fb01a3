"""What is asked, by how many connections at once."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from loadtest.bench.texts import Texts
from loadtest.connections import Request

REPEATED_SHARE: Final = 0.95


@dataclass(frozen=True)
class Workload:
    """A closed loop: each connection asks again as soon as it is answered.

    Attributes:
        name: As the issue and the tables call it.
        about: What it stands for.
        connections: Requests under way at once.
        texts: Texts in a request.
        draw: Yields texts for ever.
    """

    name: str
    about: str
    connections: int
    texts: int
    draw: Callable[[Texts], Iterator[str]]

    def requests(self, texts: Texts, key: str = "text") -> Iterator[Request]:
        """Yield requests for ever."""
        drawn = self.draw(texts)
        while True:
            asked = list(islice(drawn, self.texts))
            yield Request(json.dumps({key: asked}).encode(), asked)


def _unique(texts: Texts) -> Iterator[str]:
    return texts.unique()


def _pooled(texts: Texts) -> Iterator[str]:
    random_ = random.Random(1)
    while True:
        yield from random_.choices(texts.pool, k=64)


def _mixed(texts: Texts) -> Iterator[str]:
    random_ = random.Random(2)
    unique, pooled = texts.unique(), _pooled(texts)
    while True:
        yield next(pooled if random_.random() < REPEATED_SHARE else unique)


WORKLOADS: Final = {
    workload.name: workload
    for workload in (
        Workload("U1", "unique texts, one a request", 16, 1, _unique),
        Workload("U1c64", "as U1, four times the connections", 64, 1, _unique),
        Workload("U16", "unique texts, 16 a request", 4, 16, _unique),
        Workload("M95", "95 % of the texts from a pool of 10", 16, 1, _mixed),
        Workload("H1", "all texts from the pool", 16, 1, _pooled),
        Workload("H32", "as H1, 32 texts a request", 16, 32, _pooled),
        Workload("L1", "unique texts, one connection", 1, 1, _unique),
    )
}
