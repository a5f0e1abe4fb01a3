"""The cases by name; run as a program, one of them, in a process that has a Ray to itself."""

import json
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple

from loadtest.configs import DEV, PROD
from tests.chaos.outcome import Row

# HAProxy and replicas of a gateway would drain for half a minute.
QUICK_DRAIN: Final = {"RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1"}
# A breaker that opens for some seconds has to be seen open.
QUICK_METRICS: Final = {"RAY_metrics_report_interval_ms": "2000"}


class Case(NamedTuple):
    """Where a case is, and what it runs under.

    Attributes:
        place: Module and function.
        config: The configuration whose Ray settings it has.
        environment: Further ones.
        limit_s: It is ended after so many seconds.
    """

    place: str
    config: Path = DEV
    environment: dict[str, str] = {}  # noqa: RUF012
    limit_s: float = 300.0

    def load(self) -> Callable[[], list[Row]]:
        """Return the case's function; its module imports Ray."""
        module, _, name = self.place.partition(":")
        function: Callable[[], list[Row]] = getattr(import_module(module), name)
        return function


CASES: Final = {
    "overload": Case("tests.chaos.overload:overload"),
    "overload-haproxy": Case("tests.chaos.overload:behind_haproxy", PROD, QUICK_DRAIN),
    "long": Case("tests.chaos.overload:long_work"),
    "fairness": Case("tests.chaos.overload:fairness"),
    "departures": Case("tests.chaos.departures:departures"),
    "departures-haproxy": Case("tests.chaos.departures:behind_haproxy", PROD, QUICK_DRAIN),
    "losses": Case("tests.chaos.losses:losses"),
    "hang": Case("tests.chaos.losses:hang"),
    "proxy": Case("tests.chaos.losses:proxy"),
    "haproxy": Case("tests.chaos.losses:haproxy", PROD, QUICK_DRAIN),
    "node": Case("tests.chaos.losses:node", PROD, QUICK_DRAIN),
    "start": Case("tests.chaos.losses:failing_start"),
    "redis": Case("tests.chaos.redis_faults:redis_faults", DEV, QUICK_METRICS, 420.0),
    "upgrades": Case("tests.chaos.upgrades:upgrades", limit_s=480.0),
    "soak": Case("tests.chaos.soak:soak", limit_s=2400.0),
}
# Not part of a plain run.
LONG: Final = ("soak",)


def main() -> None:
    """Run the case that the first argument names, and write its rows where the second says."""
    rows = CASES[sys.argv[1]].load()()
    plain = [
        {
            "fault": row.fault,
            "counts": row.counts._asdict(),
            "verdicts": [verdict._asdict() for verdict in row.verdicts],
        }
        for row in rows
    ]
    Path(sys.argv[2]).write_text(json.dumps(plain))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
