"""A container as Kubernetes' restricted profile has it: `runc`, from an image's files."""

import json
import os
import resource
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.image.image import Image

POLL_S: Final = 0.5
STOP_S: Final = 60.0


class Container:
    """Runs when entered; gone, with all of its processes, when left.

    Its root file system is read-only but for an empty `/tmp`, its user is the image's. It has no
    capabilities, gains no privileges, and its network reaches nobody.

    Args:
        image: What it is made of.
        directory: For its specification and its log.
        command: What it runs instead of the image's command.
        environment: Variables that it has beside the image's.
    """

    def __init__(
        self,
        image: Image,
        directory: Path,
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._id = f"sentiment-{uuid.uuid4().hex[:12]}"
        self._bundle = directory / self._id
        self._runc = ["runc", "--root", str(directory / "runc")]
        self._bundle.mkdir(parents=True)
        self._log = self._bundle / "log"
        subprocess.run(["runc", "spec", "--bundle", str(self._bundle)], check=True)
        path = self._bundle / "config.json"
        hosts = self._bundle / "hosts"
        hosts.write_text("127.0.0.1 localhost sentiment\n")
        hosts.chmod(0o644)
        specification = json.loads(path.read_text())
        variables = {**image.environment, **(environment or {})}
        _specify(specification, image, command or image.command, variables, hosts)
        path.write_text(json.dumps(specification))

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*self._runc, "run", "--bundle", str(self._bundle), self._id],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            subprocess.run(
                [*self._runc, "kill", self._id, "KILL"], check=False, capture_output=True
            )
            self._process.wait()
        shutil.rmtree(self._bundle)

    @property
    def log(self) -> str:
        """What the container has printed."""
        return self._log.read_text(errors="replace")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command beside the container's own, as `kubectl exec` does."""
        return subprocess.run(
            [*self._runc, "exec", self._id, *command], check=False, capture_output=True, text=True
        )

    def until(self, timeout_s: float, *command: str) -> float:
        """Wait until a command succeeds in the container, and return the seconds it took.

        Raises:
            RuntimeError: It does not in time, or the container has ended; with its last lines.
        """
        started = time.monotonic()
        while self.run(*command).returncode:
            ended = self._process.poll() is not None
            if ended or time.monotonic() - started > timeout_s:
                what = "the container has ended" if ended else f"{command} never succeeded"
                raise RuntimeError(f"{what}:\n" + "\n".join(self.log.splitlines()[-40:]))
            time.sleep(POLL_S)
        return time.monotonic() - started

    def stop(self) -> int:
        """End the container as Kubernetes and Docker do, and return its exit status."""
        subprocess.run([*self._runc, "kill", self._id, signal.SIGTERM.name], check=True)
        return self._process.wait(STOP_S)


def _specify(
    specification: dict[str, Any],
    image: Image,
    command: Sequence[str],
    variables: Mapping[str, str],
    hosts: Path,
) -> None:
    uid, _, gid = image.settings["User"].partition(":")
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    specification["process"] |= {
        "terminal": False,
        "user": {"uid": int(uid), "gid": int(gid)},
        "args": list(command),
        "cwd": image.settings["WorkingDir"],
        "env": [f"{name}={value}" for name, value in variables.items()],
        "capabilities": {},
        "noNewPrivileges": True,
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": most_files, "soft": most_files}],
    }
    specification["root"] = {"path": os.fspath(image.root), "readonly": True}
    specification["hostname"] = "sentiment"
    # Which groups of control there are differs from host to host, and nothing here needs them.
    specification["mounts"] = [
        *(mount for mount in specification["mounts"] if mount["type"] != "cgroup"),
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
         "options": ["nosuid", "nodev", "mode=1777"]},
        {"destination": "/etc/hosts", "type": "bind", "source": str(hosts),
         "options": ["bind", "ro"]},
    ]  # fmt: skip
    specification["linux"].pop("resources", None)
