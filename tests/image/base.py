"""A stand-in for the base image where no registry of images can be reached."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.image.buildah import Buildah, Watch

RELEASE: Final = "bookworm"
NAME: Final = f"localhost/sentiment-base:{RELEASE}"
PACKAGES: Final = "python3,python3-venv,python3-pip,ca-certificates"


def stand_in(buildah: Buildah, directory: Path, watch: Watch) -> str:
    """Make a minimal Debian with Python, once, and return its name with its digest.

    Args:
        buildah: Keeps the image.
        directory: Where the root file system is made; removed when the image is there.
        watch: Told what is being done.

    Raises:
        subprocess.CalledProcessError: Debian could not be installed.
    """
    digest = buildah.digest(NAME)
    if digest is None:
        shutil.rmtree(directory, ignore_errors=True)
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", RELEASE]
        with subprocess.Popen(
            [*command, str(directory)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as installing:
            for line in installing.stdout or ():
                watch(line.rstrip())
        if installing.returncode:
            raise subprocess.CalledProcessError(installing.returncode, command)
        container = buildah.run("from", "scratch")
        buildah.run("add", "--quiet", container, str(directory), "/")
        buildah.run("commit", "--quiet", "--rm", container, NAME)
        shutil.rmtree(directory)
        digest = buildah.digest(NAME)
    return f"{NAME.partition(':')[0]}@{digest}"
