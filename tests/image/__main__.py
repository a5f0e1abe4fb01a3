"""`make image-test`: build the image for real, look into it, and serve from it.

Needs root and Debian's buildah, debootstrap and runc, and no daemon.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

import typer

from serve_app.console import fail
from serve_app.errors import StartupError
from tests.image.base import stand_in
from tests.image.buildah import Buildah
from tests.image.image import Image
from tests.image.pip_settings import PipSettings, pip_settings
from tests.image.progress import Progress
from tests.image.serving import serves_alone, serves_under_kuberay

ROOT: Final = Path(__file__).parents[2]
TOOLS: Final = ("buildah", "debootstrap", "runc")
NOT_FOR_CPU: Final = ("torch", "transformers", "onnx", "pip", "ray/jars")


def main(
    base: Annotated[
        str, typer.Option(help="Base image; by default a Debian made by debootstrap.")
    ] = "",
    cache: Annotated[
        Path | None, typer.Option(help="Where images are kept from one run to the next.")
    ] = None,
) -> None:
    """Build the targets `cpu` and `gpu`, look into them, and serve from them."""
    check_tools()
    user_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = cache or Path(user_cache) / "sentiment-serve" / "image"
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        test(Buildah(cache), base, Path(scratch))


def check_tools() -> None:
    """Make sure that this machine can build and run images.

    Raises:
        StartupError: It cannot.
    """
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        raise StartupError(
            f"not installed: {', '.join(missing)}", f"apt-get install {' '.join(TOOLS)}"
        )
    if os.geteuid():
        raise StartupError("mounting an image needs root", "sudo make image-test")


def test(buildah: Buildah, base: str, scratch: Path) -> None:
    """Run all steps, with a line for what each has found.

    Args:
        buildah: Builds and keeps the images.
        base: Name of the base image; empty for a stand-in.
        scratch: An empty directory.

    Raises:
        RuntimeError: Something could not be built or started.
        AssertionError: The image or its service is not what it ought to be.
    """
    progress = Progress(steps=8)
    pip = pip_settings(scratch)
    progress.step("lint", lint)
    base = base or progress.step(
        "base", lambda: stand_in(buildah, scratch / "base", progress.watch)
    )

    def built(target: str) -> Image:
        name = f"localhost/sentiment:{target}"
        progress.step(
            f"build {target}",
            lambda: buildah.build(
                ROOT, target, name, arguments={"BASE": base}, pip=pip, watch=progress.watch
            ),
        )
        return Image(buildah, name)

    with built("cpu") as image:
        progress.step("look into cpu", lambda: look_into(image, pip, without=NOT_FOR_CPU))
        progress.step("serve alone", lambda: serves_alone(image, scratch))
        progress.step("serve production under Ray", lambda: serves_under_kuberay(image, scratch))
    with built("gpu") as image:
        progress.step("serve alone on torch", lambda: serves_alone(image, scratch, engine="torch"))


def lint() -> str:
    """Run hadolint.

    Raises:
        RuntimeError: It objects.
    """
    done = subprocess.run(
        ["hadolint", "Dockerfile"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stdout)
    return "no objections"


def look_into(image: Image, pip: PipSettings, *, without: Iterable[str]) -> str:
    """Check an image's configuration and files, and return its sizes.

    Raises:
        AssertionError: Something is wrong with them.
    """
    faults = image.faults(pip.sources)
    faults += [f"{name} is installed" for name in without if (image.packages / name).exists()]
    assert not faults, "\n".join(faults)
    return ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in image.sizes().items())


if __name__ == "__main__":
    try:
        typer.run(main)
    except StartupError as error:
        fail(error)
    except (RuntimeError, AssertionError) as error:
        fail(StartupError(str(error)))
