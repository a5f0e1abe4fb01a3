"""Which processes of the service do what, their memory, and the CPU time each role takes."""

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

import psutil

# The first that occurs in a process's command line names its role; all others are Ray's own.
_ROLES = (
    ("ServeReplica:sentiment:Gateway", "gateway"),
    ("ServeReplica:sentiment:Classifier", "classifier"),
    ("haproxy", "haproxy"),
    ("redis-server", "redis"),
)


class Memory(NamedTuple):
    """A process's memory in MiB: resident, and the part of it that it shares with nobody."""

    role: str
    pid: int
    rss_mib: int
    unique_mib: int


def role(process: psutil.Process) -> str:
    """Return what a process of the service does."""
    command = " ".join(process.cmdline())
    return next((name for part, name in _ROLES if part in command), "ray")


def memory(processes: Iterable[psutil.Process]) -> list[Memory]:
    """Measure the replicas."""
    found = []
    for process in processes:
        with suppress(psutil.Error):
            if (name := role(process)) in ("gateway", "classifier"):
                used = process.memory_full_info()
                found.append(Memory(name, process.pid, used.rss >> 20, used.uss >> 20))
    return sorted(found)


def cpu_seconds(processes: Iterable[psutil.Process]) -> dict[str, float]:
    """Return the CPU time that each role has taken so far."""
    seconds: dict[str, float] = defaultdict(float)
    for process in processes:
        with suppress(psutil.Error):
            times = process.cpu_times()
            seconds[role(process)] += times.user + times.system
    return seconds


def busy_seconds() -> float:
    """Return the CPU time that this machine has spent so far, the hypervisor's theft included."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)
