"""The load generator, a process of its own: `python -m tests.chaos.generator PLAN RECORDS`.

Requests are sent when they are due, answered or not, once each, and every answer is judged: right,
refused clearly, broken (no answer: the connection ended) or wrong.
"""

import asyncio
import json
import random
import re
import sys
import time
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import aiohttp
import uvloop

from serve_app.errors import PROBLEM_JSON
from tests.prod_local.revisions import TOLERANCE, margin

TIMEOUT_S: Final = 45.0
OK: Final = 200
LONG_CHARS: Final = 500
# Statuses that refuse, and whether they say when to come again.
REFUSALS: Final = {429: True, 503: True, 504: False}

Kind = Literal["right", "refused", "broken", "wrong", "left"]


class Stream(NamedTuple):
    """Requests of one sort, at a steady rate with random gaps.

    Attributes:
        name: Tells its records from others.
        rate: Requests each second.
        seconds: For how long.
        texts: Texts in each.
        begin_s: When it begins.
        deadline_ms: What each asks for; zero asks for nothing.
        long: Whether its texts are long.
        leave_s: After how long a client leaves; zero: none does.
    """

    name: str
    rate: float
    seconds: float
    texts: int = 1
    begin_s: float = 0.0
    deadline_ms: int = 0
    long: bool = False
    leave_s: float = 0.0


class Record(NamedTuple):
    """One request.

    Attributes:
        stream: Which one it belongs to.
        sent: When, in seconds since the epoch.
        seconds: Until its answer.
        kind: What became of it.
        status: Of its answer; zero without one.
        retry_after: What a refusal says; zero without it.
        hits: Texts from the cache.
        cache_ms: How long the gateway looked into the cache, as it says.
        revision: The model's.
        note: What was wrong.
    """

    stream: str
    sent: float
    seconds: float
    kind: Kind
    status: int
    retry_after: int
    hits: int
    cache_ms: float
    revision: str
    note: str


class Generator:
    """Sends streams of requests to a service.

    Args:
        url: Where predictions are asked for.
        known: By revision: by text: the margin.
        session: Connections.
    """

    def __init__(
        self, url: str, known: dict[str, dict[str, float]], session: aiohttp.ClientSession
    ) -> None:
        self.records: list[Record] = []
        self._url = url
        self._known = known
        self._session = session
        self._random = random.Random(0)
        texts = list(next(iter(known.values())))
        self._texts = {
            long: [text for text in texts if (len(text) > LONG_CHARS) == long]
            for long in (False, True)
        }

    async def run(self, streams: list[Stream]) -> None:
        """Send everything, and wait for all answers."""
        async with asyncio.TaskGroup() as tasks:
            for stream in streams:
                tasks.create_task(self._stream(stream, tasks))

    async def _stream(self, stream: Stream, tasks: asyncio.TaskGroup) -> None:
        due = time.monotonic() + stream.begin_s
        end = due + stream.seconds
        while (due := due + self._random.expovariate(stream.rate)) < end:
            await asyncio.sleep(due - time.monotonic())
            tasks.create_task(self._request(stream))

    async def _request(self, stream: Stream) -> None:
        texts = self._random.sample(self._texts[stream.long], stream.texts)
        headers = {"X-Deadline-Ms": str(stream.deadline_ms)} if stream.deadline_ms else {}
        sent, begun = time.time(), time.monotonic()
        status, retry_after, hits, cache_ms, revision = 0, 0, 0, 0.0, ""
        kind: Kind
        timeout = aiohttp.ClientTimeout(total=stream.leave_s or TIMEOUT_S)
        try:
            async with self._session.post(
                self._url, data=json.dumps({"text": texts}), headers=headers, timeout=timeout
            ) as answer:
                status = answer.status
                retry_after = int(answer.headers.get("retry-after", 0))
                hits = int(answer.headers.get("x-cache-hits", 0))
                timing = re.search(r"cache;dur=([\d.]+)", answer.headers.get("server-timing", ""))
                cache_ms = float(timing[1]) if timing else 0.0
                revision = answer.headers.get("x-model-revision", "")
                note = self._judge(texts, answer, await answer.read())
                kind = "wrong" if note else "right" if status == OK else "refused"
        except (aiohttp.ClientError, TimeoutError) as error:
            kind, note = ("left" if stream.leave_s else "broken"), type(error).__name__
        seconds = time.monotonic() - begun
        ended = (status, retry_after, hits, cache_ms, revision, note)
        self.records.append(Record(stream.name, sent, seconds, kind, *ended))

    def _judge(self, texts: list[str], answer: aiohttp.ClientResponse, body: bytes) -> str:
        """Return what is wrong with an answer; nothing where it is right or refuses clearly."""
        if answer.status != OK:
            return _refusal(answer, body)
        known = self._known.get(answer.headers.get("x-model-revision", ""))
        if known is None:
            return "a revision that nobody knows"
        predictions: list[Any] = json.loads(body)["predictions"]
        if len(predictions) != len(texts):
            return "another number of predictions than texts"
        pairs = zip(texts, predictions, strict=True)
        if any(abs(margin(scores) - known[text]) > TOLERANCE for text, scores in pairs):
            return "a wrong score"
        return ""


def _refusal(answer: aiohttp.ClientResponse, body: bytes) -> str:
    if answer.content_type != PROBLEM_JSON:
        return f"{answer.status} in {answer.content_type}"
    if answer.status not in REFUSALS or json.loads(body)["status"] != answer.status:
        return f"{answer.status}: {body.decode()[:200]}"
    if REFUSALS[answer.status] and "retry-after" not in answer.headers:
        return f"{answer.status} without Retry-After"
    return ""


async def generate(plan: dict[str, Any]) -> list[Record]:
    """Send the requests of a plan."""
    known = json.loads(Path(plan["known"]).read_text())
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        generator = Generator(plan["url"], known, session)
        await generator.run([Stream(*stream) for stream in plan["streams"]])
    return generator.records


def main() -> None:
    """Send what the first file says, and write what became of it to the second."""
    records = uvloop.run(generate(json.loads(Path(sys.argv[1]).read_text())))
    Path(sys.argv[2]).write_text("\n".join(json.dumps(record) for record in records))


if __name__ == "__main__":
    main()
