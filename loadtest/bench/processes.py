"""Memory and CPU time of a system under load, by the part that each process plays."""

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

import psutil

from loadtest.processes import cpu_seconds, role


class Memory(NamedTuple):
    """A process's memory in MiB: resident, and the part of it that it shares with nobody."""

    role: str
    rss_mib: int
    unique_mib: int


def replica_memory(processes: Iterable[psutil.Process]) -> list[Memory]:
    """Measure the replicas among the service's processes."""
    found = []
    for process in processes:
        with suppress(psutil.Error):
            if (name := role(process.cmdline())) in ("gateway", "classifier"):
                used = process.memory_full_info()
                found.append(Memory(name, used.rss >> 20, used.uss >> 20))
    return sorted(found)


def cpu_by_role(processes: Iterable[psutil.Process]) -> dict[str, float]:
    """Return the CPU time that each role has taken so far."""
    seconds: dict[str, float] = defaultdict(float)
    for process in processes:
        with suppress(psutil.Error):
            seconds[role(process.cmdline())] += cpu_seconds(process)
    return seconds


def busy_seconds() -> float:
    """Return the CPU time that this machine has spent so far, the hypervisor's theft included."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)
