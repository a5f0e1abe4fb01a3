"""What a machine must have for images to be built and run on it."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from serve_app.errors import StartupError

TOOLS: Final = ("buildah", "debootstrap", "runc")
# What the images, their layers and the packages of a first run take, and some more.
FREE_BYTES: Final = 16_000_000_000
# What debootstrap, a build in chroot isolation and runc do.
_PROBE: Final = "mount -t tmpfs tmpfs /mnt && mknod -m 666 /mnt/null c 1 3 && : > /mnt/null"
_NAMESPACES: Final = ("--mount", "--pid", "--ipc", "--uts", "--net", "--fork", "--mount-proc")


def default_cache() -> Path:
    """Return the directory where images are kept from one run to the next."""
    user_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(user_cache) / "sentiment-serve" / "image"


def check_machine(cache: Path) -> None:
    """Make sure that this machine can build and run images.

    Args:
        cache: The directory where images are to be kept; made where there is none.

    Raises:
        StartupError: It cannot.
    """
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        raise StartupError(
            f"not installed: {', '.join(missing)}", f"apt-get install {' '.join(TOOLS)}"
        )
    if os.geteuid():
        raise StartupError("mounting an image needs root", "sudo make image-test")
    probe = subprocess.run(
        ["unshare", *_NAMESPACES, "sh", "-c", _PROBE], check=False, capture_output=True, text=True
    )
    if probe.returncode:
        raise StartupError(
            f"this machine does not let root mount and make devices: {probe.stderr.strip()}",
            "take a machine of its own, or a privileged container",
        )
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free
    if not (cache / "storage").exists() and free < FREE_BYTES:
        raise StartupError(
            f"a first run needs {FREE_BYTES / 1e9:.0f} GB, {cache} has {free / 1e9:.0f}",
            "--cache names another directory",
        )
