"""Observes a service once a second while it is under load."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import httpx
import psutil

from loadtest.processes import ProcessUsage, Sampler, family, usage
from loadtest.results import RoleUsage, Usage

PERIOD_S: Final = 1.0
LOAD_GENERATOR: Final = "k6"


class Observer(Sampler[None]):
    """Writes a line of usage a second, from when it is entered until it is left.

    Args:
        url: Where the service answers.
        path: File to write.
        roots: Processes on this machine whose descendants, themselves included, are the service.
    """

    def __init__(self, url: str, path: Path, roots: Sequence[psutil.Process]) -> None:
        super().__init__(self._observe, PERIOD_S)
        self._client = httpx.Client(base_url=url, timeout=PERIOD_S)
        self._file = path.open("w", buffering=1)
        self._roots = roots
        self._load_generator: psutil.Process | None = None
        self._before: Mapping[int, ProcessUsage] = {}
        self._then = time.monotonic()

    def watch_load_generator(self, pid: int) -> None:
        """Observe the process of k6 as well, where it shares the service's machine."""
        if self._roots:
            self._load_generator = psutil.Process(pid)

    def __exit__(self, *exception: object) -> None:
        """End, and close the file."""
        super().__exit__(*exception)
        self._client.close()
        self._file.close()

    def _observe(self) -> None:
        now, observed = time.monotonic(), usage(family(self._roots))
        if self._load_generator:
            for pid, used in usage([self._load_generator]).items():
                observed[pid] = used._replace(role=LOAD_GENERATOR)
        roles = usage_by_role(self._before, observed, now - self._then)
        ready, cache = self._readiness()
        line = Usage(time_s=time.time(), ready=ready, cache=cache, roles=roles)
        self._file.write(line.model_dump_json() + "\n")
        self._before, self._then = observed, now

    def _readiness(self) -> tuple[bool, str | None]:
        try:
            answer = self._client.get("/project/ready")
            return answer.is_success, answer.json().get("cache")
        except (httpx.HTTPError, ValueError):
            return False, None


def usage_by_role(
    before: Mapping[int, ProcessUsage], now: Mapping[int, ProcessUsage], seconds: float
) -> dict[str, RoleUsage]:
    """Add up the processes of each role."""
    members: dict[str, list[int]] = defaultdict(list)
    for pid, process in now.items():
        members[process.role].append(pid)
    return {
        name: RoleUsage(
            processes=len(pids),
            rss_bytes=sum(now[pid].rss_bytes for pid in pids),
            cores=_cores(before, now, pids, seconds),
        )
        for name, pids in members.items()
    }


def _cores(
    before: Mapping[int, ProcessUsage],
    now: Mapping[int, ProcessUsage],
    pids: Iterable[int],
    seconds: float,
) -> float:
    used = sum(now[pid].cpu_s - before[pid].cpu_s for pid in pids if pid in before)
    return round(used / seconds, 3) if seconds > 0 else 0.0
