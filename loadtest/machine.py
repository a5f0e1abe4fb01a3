"""The machine that a load test runs on."""

import os
import platform
import re
from pathlib import Path

import psutil

GIB = 2**30


def cpu_name() -> str:
    """Return the name of the processor, as Linux tells it, else its architecture."""
    try:
        known = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        known = None
    return known[1] if known else platform.machine()


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_gib() -> float:
    """Return the size of the main memory."""
    return round(psutil.virtual_memory().total / GIB, 1)


def system() -> str:
    """Return the name and release of the operating system."""
    return platform.platform(terse=True)
