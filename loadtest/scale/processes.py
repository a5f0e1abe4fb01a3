"""CPU time of replicas."""

from collections.abc import Iterable
from contextlib import suppress

import psutil

from loadtest.processes import cpu_seconds
from loadtest.scale.lab import Replica


def total_cpu_seconds(replicas: Iterable[Replica]) -> float:
    """Return the CPU time that replicas have taken so far."""
    seconds = 0.0
    for replica in replicas:
        with suppress(psutil.Error):
            seconds += cpu_seconds(psutil.Process(replica.pid))
    return seconds
