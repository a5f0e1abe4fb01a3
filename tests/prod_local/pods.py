"""Pods without a cluster: Linux namespaces, each with an address of its own.

What Kubernetes gives a pod, and Serve's fixed ports ask for, an unprivileged user can have too:
a network, a process table and `/tmp` of its own. Every pod listens on the same ports, as in
production, and one signal ends all of a pod's processes, as when a node dies.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from serve_app.errors import StartupError

INSIDE: Final = "SENTIMENT_PROD_LOCAL_INSIDE"
GATEWAY: Final = "10.77.0.254"
_SUBNET_BITS: Final = 24
_UNSHARE: Final = (
    *("unshare", "--map-root-user", "--net", "--mount", "--pid", "--mount-proc"),
    *("--fork", "--kill-child"),
)
_PROBE: Final = (
    "mount -t tmpfs tmpfs /run && ip link add pods type bridge && ip netns add pod && "
    "ip link add to-pod type veth peer name eth0 netns pod"
)
_TERMINATED: Final = 128 + signal.SIGTERM
# Where Ray and Serve's HAProxy keep sockets and files under fixed names.
_PRIVATE: Final = ("/tmp/ray", "/tmp/haproxy-serve")


def check_machine() -> None:
    """Make sure that this user may make namespaces and networks.

    Raises:
        StartupError: The machine does not let this user.
    """
    if missing := [tool for tool in ("unshare", "ip") if shutil.which(tool) is None]:
        raise StartupError(
            f"not installed: {', '.join(missing)}", "apt-get install util-linux iproute2"
        )
    probe = subprocess.run(
        [*_UNSHARE, "sh", "-c", _PROBE], capture_output=True, text=True, check=False
    )
    if probe.returncode:
        raise StartupError(
            f"this machine allows no namespaces and networks: {probe.stderr.strip()}",
            "take a machine of its own, or a privileged container",
        )


def enter_namespaces() -> None:
    """Run this program again within namespaces that end with it; return if that is done.

    Raises:
        StartupError: See `check_machine`.
    """
    if os.environ.get(INSIDE):
        return
    check_machine()
    signal.signal(signal.SIGTERM, _exit)
    command = [*_UNSHARE, sys.executable, "-m", "tests.prod_local", *sys.argv[1:]]
    sys.exit(subprocess.run(command, env=os.environ | {INSIDE: "1"}, check=False).returncode)


def _exit(signum: int, frame: FrameType | None) -> NoReturn:
    # Leaving subprocess.run by an exception kills what it waits for.
    sys.exit(_TERMINATED)


def make_network() -> None:
    """Make the bridge that pods are attached to; this program has its address `GATEWAY`."""
    # `ip netns` keeps its names here; the namespace hides the machine's own.
    _run("mount", "-t", "tmpfs", "tmpfs", "/run")
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "link", "add", "pods", "type", "bridge")
    _run("ip", "address", "add", f"{GATEWAY}/{_SUBNET_BITS}", "dev", "pods")
    _run("ip", "link", "set", "pods", "up")


class Pod:
    """A host of its own for one command.

    Args:
        name: Up to ten characters.
        number: Its address is the subnet's with this number.
        logs: Directory for what its processes print.
    """

    def __init__(self, name: str, number: int, logs: Path) -> None:
        self.name = name
        self.address = f"10.77.0.{number}"
        self.log = logs / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        _run("ip", "netns", "add", name)
        link = f"to-{name}"
        _run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
        _run("ip", "link", "set", link, "master", "pods", "up")
        for command in (
            ["address", "add", f"{self.address}/{_SUBNET_BITS}", "dev", "eth0"],
            ["link", "set", "eth0", "up"],
            ["link", "set", "lo", "up"],
            # Ray asks the routing table for its own address.
            ["route", "add", "default", "via", GATEWAY],
        ):
            _run("ip", "-n", name, *command)

    def start(self, command: list[str], environment: dict[str, str]) -> None:
        """Start the pod's command with empty private directories."""
        binds = ""
        for directory in _PRIVATE:
            Path(directory).mkdir(exist_ok=True)
            empty = tempfile.mkdtemp(prefix=f"{self.name}-", dir=self.log.parent)
            binds += f"mount --bind {empty} {directory} && "
        isolate = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("ip", "netns", "exec", self.name, *isolate),
                    *("sh", "-c", f'{binds}exec "$@"', "sh", *command),
                ],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        """End every process of the pod with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def alive(self) -> bool:
        """Tell whether the pod's command still runs."""
        return self._process is not None and self._process.poll() is None


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
