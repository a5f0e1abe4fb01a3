"""Samples of all sessions, and what they say."""

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

OURS: Final = "ours"
# A sample beside which other processes took more counts only where there is no other.
MOST_OTHERS_CPU: Final = 0.25

Json = dict[str, Any]


class Sample(NamedTuple):
    """One measurement of one workload on one system.

    Attributes:
        session: When the session began; only samples of one session are compared.
        system: Its name.
        workload: Its name.
        requests_s: Requests answered a second.
        texts_s: Texts answered a second.
        p50_ms: Median time from request to answer.
        p99_ms: Its 99th percentile.
        others_cpu: CPUs that processes which have no part in this took meanwhile.
    """

    session: str
    system: str
    workload: str
    requests_s: float
    texts_s: float
    p50_ms: float
    p99_ms: float
    others_cpu: float


class Results(NamedTuple):
    """What the file of results holds."""

    machine: Json
    versions: dict[str, str]
    samples: list[Sample]

    def write(self, path: Path) -> None:
        """Write the file: machine and versions, then a line for each sample."""
        rows = ",\n".join(json.dumps(sample) for sample in self.samples)
        head = json.dumps({"machine": self.machine, "versions": self.versions}, indent=1)
        fields = json.dumps(Sample._fields)
        path.write_text(f'{head[:-2]},\n"fields": {fields},\n"samples": [\n{rows}\n]}}\n')

    def systems(self) -> list[str]:
        """Return the systems' names, ours first, in order of appearance."""
        return list(dict.fromkeys([OURS, *(sample.system for sample in self.samples)]))

    def median(self, system: str, workload: str, figure: str) -> float:
        """Return the median of a figure over all sessions; NaN without a sample."""
        found = [getattr(each, figure) for each in self._of(system, workload)]
        return statistics.median(found) if found else float("nan")

    def ratio(self, system: str, workload: str) -> tuple[float, float, float]:
        """Return how many times as many requests ours answered: median, least and most.

        Each session gives one ratio, of the two systems' medians within it.
        """
        ours, theirs = (_by_session(self._of(name, workload)) for name in (OURS, system))
        ratios = [ours[session] / theirs[session] for session in theirs if session in ours]
        if not ratios:
            return (float("nan"),) * 3
        return statistics.median(ratios), min(ratios), max(ratios)

    def _of(self, system: str, workload: str) -> list[Sample]:
        found = [e for e in self.samples if (e.system, e.workload) == (system, workload)]
        return [each for each in found if each.others_cpu <= MOST_OTHERS_CPU] or found


def read(path: Path) -> Results:
    """Read a file of results."""
    content = json.loads(path.read_text())
    samples = [Sample(*row) for row in content["samples"]]
    return Results(content["machine"], content["versions"], samples)


def _by_session(samples: Iterable[Sample]) -> dict[str, float]:
    speeds: dict[str, list[float]] = defaultdict(list)
    for sample in samples:
        speeds[sample.session].append(sample.requests_s)
    return {session: statistics.median(found) for session, found in speeds.items()}
