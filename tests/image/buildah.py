"""Builds and keeps images in a store of its own, without a daemon."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.image.pip_settings import PipSettings

Watch = Callable[[str], None]


class Buildah:
    """Debian's `buildah`.

    Args:
        store: Directory for images and layers, which later runs build upon.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._command = ["buildah", "--root", f"{store}/storage", "--runroot", f"{store}/run"]

    def run(self, *arguments: str) -> str:
        """Run a subcommand and return what it prints.

        Raises:
            RuntimeError: It failed; the message is its own.
        """
        done = subprocess.run(
            [*self._command, *arguments], check=False, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"buildah {arguments[0]}: {done.stderr.strip()}")
        return done.stdout.strip()

    def make_room(self, most_bytes: float) -> str:
        """Empty the store if it is larger: every change adds layers, and none goes by itself.

        Returns:
            What was found and done.
        """
        found = subprocess.run(
            ["du", "--summarize", "--block-size=1", str(self._store)],
            check=True,
            capture_output=True,
            text=True,
        )
        size = int(found.stdout.split()[0])
        if size <= most_bytes:
            return f"{size / 1e9:.0f} GB of layers"
        self.run("umount", "--all")
        for part in ("storage", "run"):
            shutil.rmtree(self._store / part)
        return f"emptied: {size / 1e9:.0f} GB of layers"

    def build(
        self,
        context: Path,
        target: str,
        tag: str,
        *,
        arguments: Mapping[str, str],
        options: Iterable[str],
        pip: PipSettings,
        watch: Watch,
    ) -> str:
        """Build a target of the Dockerfile, as `docker build` does.

        Args:
            context: Directory of the Dockerfile.
            target: The stage to build.
            tag: Name of the image.
            arguments: Build arguments.
            options: Further options of `buildah build`.
            pip: Settings that reach pip as a secret.
            watch: Told every line that the build prints.

        Returns:
            The image's identity.

        Raises:
            RuntimeError: The build failed.
        """
        command = [*self._command, "build", "--layers", "--force-rm", "--isolation", "chroot"]
        # The format of OCI has no healthcheck.
        command += ["--format", "docker", "--target", target, "--tag", tag]
        command += [f"--build-arg={name}={value}" for name, value in arguments.items()]
        command += [f"--volume={path}:{path}:ro" for path in pip.needs]
        command += [f"--secret=id=pip,src={pip.file}", *options, str(context)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as building:
            for line in building.stdout or ():
                watch(line.rstrip())
        if building.returncode:
            raise RuntimeError(f"the build of {target} failed")
        return self.run("images", "--quiet", tag)

    def inspect(self, image: str) -> dict[str, Any]:
        """Return everything that is known of an image: configuration, layers, history."""
        found: dict[str, Any] = json.loads(self.run("inspect", "--type", "image", image))
        return found

    def digest(self, image: str) -> str | None:
        """Return the digest of an image's manifest, or nothing where there is no such image."""
        if image not in self.run("images", "--format", "{{.Name}}:{{.Tag}}").splitlines():
            return None
        return self.run("images", "--format", "{{.Digest}}", image)
