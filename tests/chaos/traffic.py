"""Load on a service, from a process of its own, and what became of it."""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import numpy as np

from tests.chaos.generator import TIMEOUT_S, Record, Stream
from tests.chaos.known import Margins, write

START_S: Final = 20.0


class Counts(NamedTuple):
    """What became of requests: there is to be no third kind beside right and refused.

    Attributes:
        sent: How many were sent.
        right: Answered with the right scores.
        refused: Refused with a problem that says why, by status.
        left: Clients that left, as they were told to.
        broken: Connections that ended without an answer.
        wrong: All other answers, by what was wrong.
    """

    sent: int
    right: int
    refused: dict[str, int]
    left: int
    broken: int
    wrong: dict[str, int]

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
        known: The right answers.
        streams: What to send.
    """

    def __init__(self, url: str, known: Margins, *streams: Stream) -> None:
        self.records: list[Record] = []
        self._lasting_s = max(stream.begin_s + stream.seconds for stream in streams)
        self._directory = tempfile.TemporaryDirectory()
        self._written = Path(self._directory.name, "records")
        answers, plan = (Path(self._directory.name, name) for name in ("known", "plan"))
        write(known, answers)
        plan.write_text(json.dumps({"url": url, "known": str(answers), "streams": streams}))
        module = "tests.chaos.generator"
        self._command = [sys.executable, "-m", module, str(plan), str(self._written)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command)
        return self

    @property
    def pid(self) -> int:
        """The process of the generator."""
        return self._process.pid

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
    )


def percentile_s(records: Iterable[Record], percent: float) -> float:
    """Return a percentile of the time until the answer; zero where there is none."""
    seconds = [record.seconds for record in records]
    return float(np.percentile(seconds, percent)) if seconds else 0.0
