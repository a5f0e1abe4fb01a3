"""Memory and CPU time of a system under load, by the part that each process plays."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

import psutil

from loadtest.processes import role


class Memory(NamedTuple):
    """A process's memory in MiB: resident, and the part of it that it shares with nobody."""

    role: str
    rss_mib: int
    unique_mib: int


def family(roots: Iterable[psutil.Process]) -> Iterator[psutil.Process]:
    """Yield processes and all that descend from them."""
    for root in roots:
        yield root
        yield from root.children(recursive=True)


def replica_memory(processes: Iterable[psutil.Process]) -> list[Memory]:
    """Measure the replicas among the service's processes."""
    found = []
    for process in processes:
        with suppress(psutil.Error):
            if (name := role(process.cmdline())) in ("gateway", "classifier"):
                used = process.memory_full_info()
                found.append(Memory(name, used.rss >> 20, used.uss >> 20))
    return sorted(found)


def cpu_seconds(processes: Iterable[psutil.Process]) -> dict[str, float]:
    """Return the CPU time that each role has taken so far."""
    seconds: dict[str, float] = defaultdict(float)
    for process in processes:
        with suppress(psutil.Error):
            times = process.cpu_times()
            seconds[role(process.cmdline())] += times.user + times.system
    return seconds


def busy_seconds() -> float:
    """Return the CPU time that this machine has spent so far, the hypervisor's theft included."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)
