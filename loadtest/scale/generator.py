"""The load generator, a process of its own: `python -m loadtest.scale.generator PLAN RECORDS`.

It reads what to do from a JSON file and writes a line for each request to another. Requests of an
open loop are sent when they are due, answered or not: a service that is slow gets no less of them.
"""

import asyncio
import json
import random
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp
import uvloop

from loadtest.scale.known import Known

DEADLINE_S: Final = 30.0
RETRY_S: Final = 0.1
OK: Final = 200
BUSY: Final = 429
# Statuses that ask to come again, and those with which a proxy reports a replica that is gone.
RETRIED: Final = frozenset({BUSY, 500, 502, 503})
# Each is one token of the model, so that a text has as many tokens as words, and two more.
WORDS: Final = (
    "the", "film", "was", "good", "bad", "and", "but", "not", "very", "slow", "fast", "great",
    "story", "music", "end", "start", "love", "hate", "it", "we", "they", "saw", "time", "day",
)  # fmt: skip


class Plan(NamedTuple):
    """What to send.

    Attributes:
        url: Where to.
        segments: Seconds and requests each second, one after the other; empty for a closed loop.
        seconds: How long a closed loop runs.
        connections: How many requests of a closed loop are under way at once.
        texts: Texts in a request.
        tokens: Tokens in a text.
        distinct: How many texts there are; zero where each is new.
        patient: Whether what is refused or lost is tried again until its deadline.
    """

    url: str
    segments: list[tuple[float, float]]
    seconds: float
    connections: int
    texts: int
    tokens: int
    distinct: int = 0
    patient: bool = True


class Record(NamedTuple):
    """One request.

    Attributes:
        sent: When it was due, in seconds since the epoch.
        seconds: Until its answer, retries included.
        status: The last status; zero where there was no answer.
        attempts: How often it was sent.
        correct: Whether the predictions were those of the texts.
    """

    sent: float
    seconds: float
    status: int
    attempts: int
    correct: bool


class Generator:
    """Sends the requests of a plan.

    Args:
        plan: What to send.
        session: Connections.
    """

    def __init__(self, plan: Plan, session: aiohttp.ClientSession) -> None:
        self.records: list[Record] = []
        self._plan = plan
        self._session = session
        self._random = random.Random(0)
        self._right = Known(WORDS)
        self._known = [self._new_text() for _ in range(plan.distinct)]

    async def run(self) -> None:
        """Send everything, and wait for all answers."""
        if self._plan.segments:
            await self._open_loop()
        else:
            end = time.monotonic() + self._plan.seconds
            await asyncio.gather(*(self._loop(end) for _ in range(self._plan.connections)))

    async def _open_loop(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            due = time.monotonic()
            for seconds, rate in self._plan.segments:
                end = due + seconds
                while (due := due + self._random.expovariate(rate)) < end:
                    await asyncio.sleep(due - time.monotonic())
                    tasks.create_task(self._request(due))
                due = end

    async def _loop(self, end: float) -> None:
        while (now := time.monotonic()) < end:
            await self._request(now)

    async def _request(self, due: float) -> None:
        sent = time.time() - (time.monotonic() - due)
        texts = self._texts()
        status, correct, attempts = 0, False, 0
        while True:
            attempts += 1
            left = DEADLINE_S - (time.monotonic() - due)
            status, correct = await self._attempt(texts, left)
            left = DEADLINE_S - (time.monotonic() - due)
            final = (status != 0 and status not in RETRIED) or not self._plan.patient
            if final or left <= RETRY_S:
                break
            await asyncio.sleep(RETRY_S)
        seconds = time.monotonic() - due
        self.records.append(Record(sent, seconds, status, attempts, correct))

    async def _attempt(self, texts: list[str], left: float) -> tuple[int, bool]:
        body = json.dumps({"text": texts}).encode()
        timeout = aiohttp.ClientTimeout(total=max(left, RETRY_S))
        try:
            async with self._session.post(self._plan.url, data=body, timeout=timeout) as answer:
                content = await answer.read()
                correct = answer.status == OK and self._right.answered_by(
                    texts, json.loads(content)["predictions"]
                )
                return answer.status, correct
        except (aiohttp.ClientError, TimeoutError):
            return 0, False

    def _texts(self) -> list[str]:
        count = self._plan.texts
        if self._known:
            return self._random.sample(self._known, count)
        return [self._new_text() for _ in range(count)]

    def _new_text(self) -> str:
        return " ".join(self._random.choices(WORDS, k=self._plan.tokens - 2))


async def generate(plan: Plan) -> list[Record]:
    """Send the requests of a plan."""
    headers = {"Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        generator = Generator(plan, session)
        await generator.run()
    return generator.records


def main() -> None:
    """Send what the first file says, and write what became of it to the second."""
    plan = Plan(**json.loads(Path(sys.argv[1]).read_text()))
    records = uvloop.run(generate(plan))
    Path(sys.argv[2]).write_text("\n".join(json.dumps(record) for record in records))


if __name__ == "__main__":
    main()
