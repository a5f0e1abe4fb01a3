"""Observes a service once a second while it is under load."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import httpx
import psutil

from loadtest.processes import cpu_seconds, family, role
from loadtest.results import RoleUsage, Usage

PERIOD_S: Final = 1.0
LOAD_GENERATOR: Final = "k6"


class ProcessUsage(NamedTuple):
    """A process at one time: its role, resident memory, and processor time since its start."""

    role: str
    rss_bytes: int
    cpu_s: float


class Observer:
    """Writes a line of usage a second, from when it is entered until it is left.

    Args:
        url: Where the service answers.
        path: File to write.
        roots: Processes on this machine whose descendants, themselves included, are the service.
    """

    def __init__(self, url: str, path: Path, roots: Sequence[psutil.Process]) -> None:
        self._client = httpx.Client(base_url=url, timeout=PERIOD_S)
        self._path = path
        self._roots = roots
        self._load_generator: psutil.Process | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._observe)

    def watch_load_generator(self, pid: int) -> None:
        """Observe the process of k6 as well, where it shares the service's machine."""
        if self._roots:
            self._load_generator = psutil.Process(pid)

    def __enter__(self) -> Self:
        """Begin to observe."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Observe no more."""
        self._stop.set()
        self._thread.join()
        self._client.close()

    def _observe(self) -> None:
        before: Mapping[int, ProcessUsage] = {}
        then = due = time.monotonic()
        with self._path.open("w", buffering=1) as file:
            while not self._stop.wait(max(0.0, due - time.monotonic())):
                now, observed = time.monotonic(), self._processes()
                roles = usage_by_role(before, observed, now - then)
                ready, cache = self._readiness()
                line = Usage(time_s=time.time(), ready=ready, cache=cache, roles=roles)
                file.write(line.model_dump_json() + "\n")
                before, then = observed, now
                due += PERIOD_S

    def _processes(self) -> dict[int, ProcessUsage]:
        found: dict[int, ProcessUsage] = {}
        for root in self._roots:
            with suppress(psutil.Error):
                for process in family((root,)):
                    _add(found, process, None)
        if self._load_generator:
            _add(found, self._load_generator, LOAD_GENERATOR)
        return found

    def _readiness(self) -> tuple[bool, str | None]:
        try:
            answer = self._client.get("/project/ready")
            return answer.is_success, answer.json().get("cache")
        except (httpx.HTTPError, ValueError):
            return False, None


def usage_by_role(
    before: Mapping[int, ProcessUsage], now: Mapping[int, ProcessUsage], seconds: float
) -> dict[str, RoleUsage]:
    """Add up the processes of each role.

    Args:
        before: The last observation, by process id; empty at first.
        now: This observation.
        seconds: Time between the two.
    """
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
    known = [pid for pid in pids if pid in before]
    used = sum(now[pid].cpu_s - before[pid].cpu_s for pid in known)
    return round(used / seconds, 3) if seconds > 0 else 0.0


def _add(found: dict[int, ProcessUsage], process: psutil.Process, known_role: str | None) -> None:
    with suppress(psutil.Error), process.oneshot():
        found[process.pid] = ProcessUsage(
            known_role or role(process.cmdline()),
            process.memory_info().rss,
            cpu_seconds(process),
        )
