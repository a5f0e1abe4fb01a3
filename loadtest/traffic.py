"""Load from a process of its own, with every answer checked and counted."""

import json
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Final, NamedTuple, Self

import numpy as np
import uvloop

from loadtest.answers import TOLERANCE, Margins, problem
from loadtest.connections import Request
from loadtest.generator import TIMEOUT_S, Generator, Record, Stream

START_S: Final = 20.0
LONG_CHARS: Final = 500


class Counts(NamedTuple):
    """Numbers of requests by outcome: only right and refused ones keep the promise.

    Attributes:
        sent: How many were sent.
        right: Answered with the right scores.
        refused: Refused with a problem that says why, by status.
        left: Clients that left, as they were told to.
        broken: Connections that ended without an answer.
        wrong: All other answers, by what was wrong.
        retried: Right answers to requests that were sent more than once.
    """

    sent: int
    right: int
    refused: dict[str, int]
    left: int
    broken: int
    wrong: dict[str, int]
    retried: int = 0

    @property
    def clean(self) -> bool:
        """Whether every request was answered right or refused clearly."""
        return self.sent == self.right + sum(self.refused.values()) + self.left

    @property
    def lossless(self) -> bool:
        """Whether every request was answered right."""
        return self.sent == self.right

    def __str__(self) -> str:
        """Return them in one line."""
        refused = ", ".join(f"{number} x {status}" for status, number in self.refused.items())
        wrong = ", ".join(f"{number} x {what}" for what, number in self.wrong.items())
        parts = [f"{self.sent} sent", f"{self.right} right", f"{refused or 0} refused"]
        parts += [f"{self.left} left"] if self.left else []
        parts += [f"{self.broken} broken"] if self.broken else []
        parts += [f"wrong: {wrong}"] if wrong else []
        return ", ".join(parts)


class Traffic:
    """Sends streams for the time of a `with` block, which waits for the last answer.

    Args:
        url: Where predictions are asked for.
        known: The right answers; their texts are what is asked.
        streams: What to send.
        tolerance: How far scores may be off, in log odds.
    """

    def __init__(
        self, url: str, known: Margins, *streams: Stream, tolerance: float = TOLERANCE
    ) -> None:
        self.records: list[Record] = []
        self._lasting_s = max(stream.begin_s + stream.seconds for stream in streams)
        self._directory = tempfile.TemporaryDirectory()
        plan, self._written = (Path(self._directory.name, name) for name in ("plan", "records"))
        plan.write_text(json.dumps([url, known, streams, tolerance]))
        self._command = [sys.executable, "-m", "loadtest.traffic", str(plan), str(self._written)]

    def __enter__(self) -> Self:
        """Start to send."""
        self._process = subprocess.Popen(self._command)
        return self

    @property
    def pid(self) -> int:
        """The process of the generator."""
        return self._process.pid

    def __exit__(self, kind: object, *_: object) -> None:
        """Wait for the last answer and read the records."""
        try:
            if kind is None:
                status = self._process.wait(self._lasting_s + TIMEOUT_S + START_S)
                if status:
                    raise RuntimeError(f"the load generator ended with status {status}")
                lines = self._written.read_text().splitlines()
                self.records = [Record(*json.loads(line)) for line in lines]
        finally:
            self._process.kill()
            self._process.wait()
            self._directory.cleanup()

    def of(self, *streams: str) -> list[Record]:
        """Return the records of some streams."""
        return [record for record in self.records if record.stream in streams]


def requests(stream: Stream, texts: Iterable[str]) -> Iterator[Request]:
    """Yield requests of a stream for ever."""
    pool = [text for text in texts if (len(text) > LONG_CHARS) == stream.long]
    chosen, in_turn = random.Random(stream.name), cycle(pool)
    headers = f"X-Deadline-Ms: {stream.deadline_ms}\r\n".encode() if stream.deadline_ms else b""
    while True:
        if stream.in_turn:
            asked = list(islice(in_turn, stream.texts))
        else:
            asked = chosen.sample(pool, stream.texts)
        yield Request(json.dumps({"text": asked}).encode(), asked, headers)


def counts(records: Iterable[Record]) -> Counts:
    """Count what became of requests."""
    records = list(records)
    kinds = Counter(record.kind for record in records)
    return Counts(
        sent=len(records),
        right=kinds["right"],
        refused=dict(Counter(str(each.status) for each in records if each.kind == "refused")),
        left=kinds["left"],
        broken=kinds["broken"],
        wrong=dict(Counter(each.note for each in records if each.kind == "wrong")),
        retried=sum(each.kind == "right" and each.attempts > 1 for each in records),
    )


def percentile_s(records: Iterable[Record], percent: float) -> float:
    """Return a percentile of the time until the answer; zero where there is none."""
    seconds = [record.seconds for record in records]
    return float(np.percentile(seconds, percent)) if seconds else 0.0


def retry_after_s(record: Record) -> int:
    """Return what a refusal says; zero without it."""
    return int(record.headers.get("retry-after", 0))


def hits(records: Iterable[Record]) -> int:
    """Return how many texts came from the cache."""
    return sum(int(record.headers.get("x-cache-hits", 0)) for record in records)


def cache_ms(record: Record) -> float:
    """Return how long the gateway looked into the cache, as it says."""
    timing = re.search(r"cache;dur=([\d.]+)", record.headers.get("server-timing", ""))
    return float(timing[1]) if timing else 0.0


def by_revision(records: Sequence[Record]) -> Counter[str]:
    """Count the right answers of each revision."""
    return Counter(r.headers["x-model-revision"] for r in records if r.kind == "right")


def main() -> None:
    """Send what the first file says, and write what became of it to the second."""
    url, known, rows, tolerance = json.loads(Path(sys.argv[1]).read_text())
    streams, texts = [Stream(*row) for row in rows], list(next(iter(known.values())))
    generator = Generator(
        [url], lambda asked, answer: problem(asked.texts, answer, known, tolerance)
    )
    uvloop.run(generator.run([(stream, requests(stream, texts)) for stream in streams]))
    Path(sys.argv[2]).write_text("\n".join(map(json.dumps, generator.records)))


if __name__ == "__main__":
    main()
