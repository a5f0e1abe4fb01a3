"""Looks at the service twice a second."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Final, NamedTuple, Self

import psutil

from loadtest.scale.lab import Lab

INTERVAL_S: Final = 0.5


class Moment(NamedTuple):
    """A deployment at one time.

    Attributes:
        time: Seconds since the epoch.
        wanted: Replicas that the policy wants.
        running: Replicas that take work.
        cpu: Share of the machine's CPUs that was busy since the moment before, by whomever.
    """

    time: float
    wanted: int
    running: int
    cpu: float


class Observer:
    """Watches a deployment for the time of a `with` block.

    Args:
        lab: The service.
        name: The deployment.
    """

    def __init__(self, lab: Lab, name: str) -> None:
        self.moments: list[Moment] = []
        self._lab = lab
        self._name = name
        self._ended = threading.Event()
        self._thread = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._watching = self._thread.submit(self._watch)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End watching, with the error that ended it before."""
        self._ended.set()
        self._thread.shutdown()
        self._watching.result()

    def _watch(self) -> None:
        psutil.cpu_percent()
        while not self._ended.wait(INTERVAL_S):
            fleet = self._lab.fleet(self._name)
            busy = psutil.cpu_percent() / 100
            self.moments.append(Moment(time.time(), fleet.target, len(fleet.running), busy))
