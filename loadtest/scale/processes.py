"""CPU time of replicas."""

from collections.abc import Iterable
from contextlib import suppress

import psutil

from loadtest.scale.lab import Replica


def cpu_seconds(replicas: Iterable[Replica]) -> float:
    """Return the CPU time that replicas have taken so far."""
    seconds = 0.0
    for replica in replicas:
        with suppress(psutil.Error):
            times = psutil.Process(replica.pid).cpu_times()
            seconds += times.user + times.system
    return seconds
