"""Load from a process of its own, and what became of it."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import numpy as np

from loadtest.scale.generator import DEADLINE_S, OK, Plan, Record

START_S: Final = 10.0


class Counts(NamedTuple):
    """What became of the requests.

    Attributes:
        sent: Requests sent.
        answered: Those answered with 200 and the right predictions.
        retried: Those of them that took more than one attempt.
        failed: All others, by their last status; 0 is no answer.
    """

    sent: int
    answered: int
    retried: int
    failed: dict[str, int]


class Traffic:
    """Runs a load generator from start to end of a `with` block, which waits for it.

    Args:
        plan: What to send.
    """

    def __init__(self, plan: Plan) -> None:
        self.records: list[Record] = []
        self.plan = plan

    def __enter__(self) -> Self:
        """Start the generator."""
        self._directory = tempfile.TemporaryDirectory()
        given = Path(self._directory.name, "plan.json")
        given.write_text(json.dumps(self.plan._asdict()))
        self._written = given.with_name("records.jsonl")
        command = [sys.executable, "-m", "loadtest.scale.generator", str(given), str(self._written)]
        self._process = subprocess.Popen(command)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for the generator's end and read what it wrote."""
        try:
            if kind is not None:
                self._process.kill()
            lasting = sum(seconds for seconds, _ in self.plan.segments) + self.plan.seconds
            status = self._process.wait(lasting + DEADLINE_S + START_S)
            if kind is None:
                if status:
                    raise RuntimeError(f"the load generator ended with status {status}")
                lines = self._written.read_text().splitlines()
                self.records = [Record(*json.loads(line)) for line in lines]
        finally:
            self._process.kill()
            self._directory.cleanup()


def counts(records: list[Record]) -> Counts:
    """Count what became of requests."""
    failed: dict[str, int] = {}
    for record in records:
        if not answered(record):
            failed[str(record.status)] = failed.get(str(record.status), 0) + 1
    return Counts(
        sent=len(records),
        answered=sum(map(answered, records)),
        retried=sum(answered(record) and record.attempts > 1 for record in records),
        failed=failed,
    )


def answered(record: Record) -> bool:
    """Tell whether a request was answered correctly."""
    return record.status == OK and record.correct


def percentile_ms(records: list[Record], percent: float) -> float:
    """Return a percentile of the time to the answer."""
    return float(np.percentile([record.seconds for record in records], percent)) * 1000
