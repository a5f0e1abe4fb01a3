"""A steady load whose every answer is checked."""

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import httpx

from tests.prod_local.revisions import TOLERANCE, Revision, margin

MIXED_UP: Final = "a score of another revision than the answer claims"
_CONNECTIONS: Final = 6
_PAUSE_S: Final = 0.1
_TEXTS: Final = 4
_TIMEOUT_S: Final = 30


class Answer(NamedTuple):
    """What became of one request.

    Attributes:
        sent: When, on the monotonic clock.
        node: Which node took it.
        problem: Empty, or what was wrong with the answer.
        revision: The model's, as the answer says.
        hits: How many of its texts came from the cache.
        milliseconds: Until the answer was there.
    """

    sent: float
    node: str
    problem: str
    revision: str
    hits: int
    milliseconds: float


class Load:
    """Sends requests to all nodes in turn, from entering to leaving.

    Args:
        nodes: Base URLs; may be set anew at any time, as a Service's endpoints may.
        known: The revisions that may answer.
    """

    def __init__(self, nodes: Sequence[str], known: Sequence[Revision]) -> None:
        self.nodes = nodes
        self._known = {revision.name: revision.margins for revision in known}
        self._texts = list(known[0].margins)
        self._answers: list[Answer] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def since(self, moment: float, node: str | None = None) -> "Summary":
        """Sum up the requests that were sent since a moment of the monotonic clock.

        Args:
            moment: When.
            node: Those that this one took; by default, all.
        """
        answers = [answer for answer in list(self._answers) if answer.sent >= moment]
        return Summary([answer for answer in answers if node in {None, answer.node}])

    async def _run(self) -> None:
        async with httpx.AsyncClient(timeout=_TIMEOUT_S) as client:
            await asyncio.gather(*(self._send(client, n) for n in range(_CONNECTIONS)))

    async def _send(self, client: httpx.AsyncClient, number: int) -> None:
        chosen = random.Random(number)
        turn = number
        while not self._stop.is_set():
            turn += 1
            nodes = self.nodes
            node = nodes[turn % len(nodes)]
            texts = chosen.sample(self._texts, chosen.randint(1, _TEXTS))
            self._answers.append(await self._ask(client, node, texts))
            await asyncio.sleep(_PAUSE_S)

    async def _ask(self, client: httpx.AsyncClient, node: str, texts: list[str]) -> Answer:
        sent = time.monotonic()
        revision, hits = "", 0
        try:
            answer = await client.post(f"{node}/project/predict", json={"text": texts})
            revision = answer.headers.get("x-model-revision", "")
            hits = int(answer.headers.get("x-cache-hits", 0))
            problem = self._problem(answer, revision, texts)
        except httpx.TransportError as error:
            problem = type(error).__name__
        took = (time.monotonic() - sent) * 1000
        return Answer(sent, node, problem, revision, hits, took)

    def _problem(self, answer: httpx.Response, revision: str, texts: list[str]) -> str:
        if answer.status_code != httpx.codes.OK:
            return f"status {answer.status_code}"
        predictions: list[Any] = answer.json()["predictions"]
        expected = self._known.get(revision)
        if expected is None:
            return f"an unknown revision {revision!r}"
        for text, scores in zip(texts, predictions, strict=True):
            if abs(margin(scores) - expected[text]) > TOLERANCE:
                return MIXED_UP
        return ""


class Summary:
    """Counts of some requests.

    Args:
        answers: What became of them.
    """

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.requests = len(answers)
        self.by_node = Counter(answer.node for answer in answers)
        self.by_revision = Counter(answer.revision for answer in answers if not answer.problem)
        self.problems = Counter(answer.problem for answer in answers if answer.problem)
        self.hits = sum(answer.hits for answer in answers)
        took = sorted(answer.milliseconds for answer in answers)
        self.median_ms = took[len(took) // 2] if took else 0.0
        self.slowest_ms = took[-1] if took else 0.0

    @property
    def failed(self) -> int:
        """How many were answered wrongly or not at all."""
        return sum(self.problems.values())

    def __str__(self) -> str:
        """Return the counts in one line."""
        problems = ", ".join(f"{count} x {what}" for what, count in self.problems.items())
        return (
            f"{self.requests} requests, {self.failed} failed{f' ({problems})' if problems else ''}"
            f", median {self.median_ms:.0f} ms, slowest {self.slowest_ms:.0f} ms"
        )
