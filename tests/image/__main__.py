"""`make image-test`: build the image for real, look into it, and serve from it.

Needs root and Debian's buildah, debootstrap and runc, and no daemon.
"""

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from serve_app.console import fail
from serve_app.errors import StartupError
from tests.conftest import write_classifier
from tests.image.base import stand_in
from tests.image.buildah import Buildah
from tests.image.hub import COMMIT, MODEL_ID, hub
from tests.image.image import Image
from tests.image.machine import check_machine, default_cache
from tests.image.pip_settings import PipSettings, pip_settings
from tests.image.progress import Progress
from tests.image.serving import knows, serves_alone, serves_under_kuberay

ROOT: Final = Path(__file__).parents[2]
# Twice what one state of the Dockerfile takes.
STORE_BYTES: Final = 26e9
NOT_FOR_GPU: Final = ("pip", "ray/jars")
NOT_FOR_CPU: Final = (*NOT_FOR_GPU, "torch", "transformers", "onnx")


def main(
    base: Annotated[
        str, typer.Option(help="Base image; by default a Debian made by debootstrap.")
    ] = "",
    cache: Annotated[
        Path | None, typer.Option(help="Where images are kept from one run to the next.")
    ] = None,
) -> None:
    """Build the targets `cpu` and `gpu`, look into them, and serve from them."""
    cache = cache or default_cache()
    check_machine(cache)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        test(Buildah(cache), base, Path(scratch))


def test(buildah: Buildah, base: str, scratch: Path) -> None:
    """Run all steps, with a line for what each has found.

    Args:
        buildah: Builds and keeps the images.
        base: Name of the base image; empty for a stand-in.
        scratch: An empty directory.

    Raises:
        RuntimeError: Something could not be built or started.
        AssertionError: An image or its service is not what it ought to be.
    """
    progress = Progress(steps=13)
    progress.step("store", lambda: buildah.make_room(STORE_BYTES))
    pip = pip_settings(scratch)
    base = progress.step(
        "base", lambda: base or stand_in(buildah, scratch / "base", progress.watch)
    )

    def built(name: str, target: str, options: Sequence[str] = (), **arguments: str) -> Image:
        arguments["BASE"] = base
        tag = f"localhost/sentiment:{name}"
        progress.step(
            f"build {name}",
            lambda: buildah.build(
                ROOT, target, tag,
                arguments=arguments, options=options, pip=pip, watch=progress.watch,
            ),
        )  # fmt: skip
        return Image(buildah, tag)

    with built("cpu", "cpu") as image:
        progress.step("files of cpu", lambda: look_into(image, pip, without=NOT_FOR_CPU))
        progress.step("service of cpu", lambda: serves_alone(image, scratch))
        progress.step("service of cpu under Ray", lambda: serves_under_kuberay(image, scratch))
    with built("gpu", "gpu") as image:
        progress.step("files of gpu", lambda: look_into(image, pip, without=NOT_FOR_GPU))
        progress.step("service of gpu", lambda: serves_alone(image, scratch, engine="torch"))
    tiny = scratch / "tiny"
    write_classifier(tiny)
    with built("directory", "cpu", [f"--build-context=model={tiny}"], MODEL_ID="tiny") as image:
        progress.step("model of directory", lambda: knows(image, "/models/tiny", scratch))
    with (
        hub(tiny) as url,
        built("hub", "cpu", MODEL_ID=MODEL_ID, MODEL_REVISION=COMMIT, HF_ENDPOINT=url) as image,
    ):
        progress.step("model of hub", lambda: knows(image, f"{MODEL_ID}@{COMMIT}", scratch))


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
