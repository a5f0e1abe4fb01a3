import threading
from typing import Self

import psutil

from tests.serve.service import Service

EVERY_S = 0.1


class Watched:
    """The most memory that a service's processes use together beyond what they did before."""

    def __init__(self, service: Service) -> None:
        self._processes = service.processes()
        self._before = self._resident()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.growth = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._note()

    def _watch(self) -> None:
        while not self._over.wait(EVERY_S):
            self._note()

    def _note(self) -> None:
        self.growth = max(self.growth, self._resident() - self._before)

    def _resident(self) -> int:
        total = 0
        for process in self._processes:
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total
