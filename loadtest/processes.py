"""The processes of a service, and what part each of them plays."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import PurePath
from typing import Final

import psutil

# Of a program's name; Ray sets that of an actor's process to `ray::` and the name of the actor.
ROLES: Final = {
    r"ServeReplica:.*:Gateway": "gateway",
    r"ServeReplica:.*:Classifier": "classifier",
    "ServeReplica:lab:": "lab",
    "ProxyActor": "proxy",
    "haproxy": "proxy",
    "ServeController": "controller",
    "redis-server": "redis",
}
OTHER: Final = "ray"
MODULES: Final = {"serve_app", "serve_app.cli"}
"""What `python -m` runs in the first processes of a service."""


def role(command: Sequence[str]) -> str:
    """Return the part that a process of the service plays.

    Args:
        command: Its command line.
    """
    title, *_ = next(iter(command), "").split(" ")
    program = PurePath(title).name
    return next((name for pattern, name in ROLES.items() if re.search(pattern, program)), OTHER)


def family(roots: Iterable[psutil.Process]) -> Iterator[psutil.Process]:
    """Yield processes and all that descend from them."""
    for root in roots:
        yield root
        yield from root.children(recursive=True)


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time that a process has taken so far.

    Raises:
        psutil.Error: It has ended.
    """
    times = process.cpu_times()
    return float(times.user + times.system)


def serving(port: int) -> psutil.Process | None:
    """Return the first process of the service that listens on a local port.

    Args:
        port: Where the service answers.

    Returns:
        None if the listener is none of ours, or not to be seen by this user.
    """
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN
            if listens and connection.pid and connection.laddr and connection.laddr.port == port:
                return _service_of(psutil.Process(connection.pid))
    return None


def _service_of(process: psutil.Process) -> psutil.Process | None:
    family = [process, *process.parents()]
    return next((one for one in reversed(family) if MODULES & {*one.cmdline()}), None)
