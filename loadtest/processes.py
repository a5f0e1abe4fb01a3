"""The processes of a service: the role of each, and what it uses."""

import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import PurePath
from typing import Final, Generic, NamedTuple, Self, TypeVar

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
MODULES: Final = {"serve_app.ray_serve.launch", "serve_app.cli"}
"""What `python -m` runs in the first processes of a service."""
MIB: Final = 2**20

T = TypeVar("T")


class ProcessUsage(NamedTuple):
    """A process at one time; processor time since its start."""

    role: str
    rss_bytes: int
    cpu_s: float
    fds: int = 0
    threads: int = 0


class Memory(NamedTuple):
    """A process's memory in MiB: resident, and the share of it that no other process has."""

    role: str
    rss_mib: int
    unique_mib: int


class Sampler(Generic[T]):
    """A thread that takes a sample every so many seconds, from entering to leaving.

    Args:
        take: Takes one.
        period_s: Seconds between two.
    """

    def __init__(self, take: Callable[[], T], period_s: float) -> None:
        self.samples: list[T] = []
        self._take = take
        self._period_s = period_s
        self._ended = threading.Event()
        self._thread = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        """Begin."""
        self._running = self._thread.submit(self._run)
        return self

    def __exit__(self, *_: object) -> None:
        """End, with the error that ended it before."""
        self._ended.set()
        self._thread.shutdown()
        self._running.result()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            self.samples.append(self._take())
            due += self._period_s


def role(command: Sequence[str]) -> str:
    """Return the role of a process of the service by its command line."""
    title, *_ = next(iter(command), "").split(" ")
    program = PurePath(title).name
    return next((name for pattern, name in ROLES.items() if re.search(pattern, program)), OTHER)


def family(roots: Iterable[psutil.Process]) -> Iterator[psutil.Process]:
    """Yield processes and all that descend from them; those that have ended yield nothing."""
    for root in roots:
        with suppress(psutil.Error):
            yield root
            yield from root.children(recursive=True)


def usage(processes: Iterable[psutil.Process | int]) -> dict[int, ProcessUsage]:
    """Return what each process, or process of an id, uses that has not ended, by its id."""
    found = {}
    for each in processes:
        with suppress(psutil.Error):
            process = psutil.Process(each) if isinstance(each, int) else each
            with process.oneshot():
                times = process.cpu_times()
                found[process.pid] = ProcessUsage(
                    role(process.cmdline()),
                    process.memory_info().rss,
                    times.user + times.system,
                    process.num_fds(),
                    process.num_threads(),
                )
    return found


def cpu_by_role(processes: Iterable[psutil.Process]) -> dict[str, float]:
    """Return the CPU time that each role has taken so far."""
    seconds: dict[str, float] = defaultdict(float)
    for each in usage(processes).values():
        seconds[each.role] += each.cpu_s
    return seconds


def replica_memory(processes: Iterable[psutil.Process]) -> list[Memory]:
    """Return the memory of the replicas among the service's processes."""
    found = []
    for process in processes:
        with suppress(psutil.Error):
            if (name := role(process.cmdline())) in ("gateway", "classifier"):
                used = process.memory_full_info()
                found.append(Memory(name, used.rss // MIB, used.uss // MIB))
    return sorted(found)


def busy_seconds() -> float:
    """Return the CPU time that this machine has spent so far, the hypervisor's theft included."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)


def serving(port: int) -> psutil.Process | None:
    """Return the first process of the service that listens on a local port.

    Returns:
        None if the listener is none of ours, or not to be seen by this user.
    """
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN
            if listens and connection.pid and connection.laddr and connection.laddr.port == port:
                process = psutil.Process(connection.pid)
                parents = reversed([process, *process.parents()])
                return next((one for one in parents if MODULES & {*one.cmdline()}), None)
    return None
