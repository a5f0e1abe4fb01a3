"""What an image holds: its configuration and its files."""

import subprocess
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.image.buildah import Buildah


class Image:
    """An image of the store, its files mounted.

    Args:
        buildah: Keeps the image.
        name: Its name.
    """

    def __init__(self, buildah: Buildah, name: str) -> None:
        self._buildah = buildah
        self._container = buildah.run("from", "--pull-never", name)
        self.root = Path(buildah.run("mount", self._container))
        self._known = buildah.inspect(name)
        self.settings: dict[str, Any] = self._known["Docker"]["config"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._buildah.run("rm", self._container)

    @property
    def command(self) -> list[str]:
        """What the image runs by default."""
        return [*(self.settings.get("Entrypoint") or ()), *self.settings["Cmd"]]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the image sets."""
        return dict(entry.split("=", 1) for entry in self.settings["Env"])

    @property
    def packages(self) -> Path:
        """The directory of the Python packages."""
        (directory,) = self.root.glob("opt/venv/lib/python3.*/site-packages")
        return directory

    def faults(self, sources: Iterable[str]) -> list[str]:
        """Return what is wrong with the image as such.

        Args:
            sources: Package sources that only the build may know.
        """
        settings, faults = self.settings, []
        if not settings["User"].split(":")[0].isdigit() or settings["User"].startswith("0"):
            faults.append(f"the user is {settings['User']!r}: Kubernetes checks numbers only")
        if named := sorted(name for name in self.environment if name.startswith("PIP_")):
            faults.append(f"settings of pip in the environment: {', '.join(named)}")
        if not settings.get("Healthcheck"):
            faults.append("no healthcheck")
        if not settings["Labels"].get("org.opencontainers.image.base.name", "").count("@sha256:"):
            faults.append("no label with the base and its digest")
        known = str(self._known)
        faults += [f"its history names {source}" for source in sources if source in known]
        faults += [f"{path} names a source of packages" for path in self._naming(sources)]
        writable = self._lines("find", "opt", "models", "-perm", "/022", "!", "-type", "l")
        faults += [f"{path} may be written by others than root" for path in writable]
        return faults

    def _naming(self, sources: Iterable[str]) -> list[str]:
        patterns = [f"--regexp={source}" for source in sources]
        found = self._lines("grep", "-rIlF", *patterns, ".") if patterns else []
        return [*found, *self._lines("find", "etc", "root", "home", "-name", "pip.conf")]

    def sizes(self) -> dict[str, int]:
        """Return the size of the image's files and of their largest parts, in bytes."""
        parts = {
            "all files": self.root,
            "Debian and Python": self.root / "usr",
            "packages": self.packages,
            "ray": self.packages / "ray",
            "torch": self.packages / "torch",
            "onnxruntime": self.packages / "onnxruntime",
            "model": self.root / "models",
        }
        return {
            name: int(self._lines("du", "--bytes", "--summarize", str(part))[0].split()[0])
            for name, part in parts.items()
            if part.exists()
        }

    def _lines(self, *command: str) -> list[str]:
        found = subprocess.run(command, cwd=self.root, check=False, capture_output=True, text=True)
        return found.stdout.splitlines()
