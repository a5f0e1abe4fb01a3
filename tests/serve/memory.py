from loadtest.processes import Sampler, usage
from loadtest.service import Service

PERIOD_S = 0.1


class Watched(Sampler[int]):
    """The most memory that a service's processes use together beyond what they did before."""

    def __init__(self, service: Service) -> None:
        super().__init__(self._resident, PERIOD_S)
        self._processes = service.processes()
        self._before = self._resident()
        self.growth = 0

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        self.growth = max(*self.samples, self._resident(), self._before) - self._before

    def _resident(self) -> int:
        return sum(used.rss_bytes for used in usage(self._processes).values())
