"""The processes of a service, and what part each of them plays."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import psutil

# Ray sets the title of a process to `ray::` and the name of its actor.
ROLES: Final = {
    "ServeReplica:sentiment:Gateway": "gateway",
    "ServeReplica:sentiment:Classifier": "classifier",
    "ProxyActor": "proxy",
    "haproxy": "proxy",
    "ServeController": "controller",
    "redis-server": "redis",
}
OTHER: Final = "ray"


def role(command: Sequence[str]) -> str:
    """Return the part that a process of the service plays.

    Args:
        command: Its command line.
    """
    line = " ".join(command)
    return next((name for part, name in ROLES.items() if part in line), OTHER)


def serving(port: int) -> psutil.Process | None:
    """Return the first process of the service that listens on a local port.

    Args:
        port: Where the service answers.

    Returns:
        None if the listener is none of ours, or not to be seen by this user.
    """
    for connection in psutil.net_connections("tcp"):
        listens = connection.status == psutil.CONN_LISTEN
        if not listens or not connection.laddr or connection.laddr.port != port:
            continue
        with suppress(psutil.Error):
            if connection.pid is not None:
                return _service_of(psutil.Process(connection.pid))
    return None


def _service_of(process: psutil.Process) -> psutil.Process | None:
    family = [process, *process.parents()]
    ours = [member for member in family if "serve_app" in " ".join(member.cmdline())]
    return ours[-1] if ours else None
