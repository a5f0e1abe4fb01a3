"""The files that a run leaves in its directory: their names and forms."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from serve_app.errors import StartupError

SUMMARY: Final = "summary.json"
SAMPLES: Final = "samples.csv.gz"
USAGE: Final = "usage.jsonl"


class RunUnreadable(StartupError):
    """The files of a load test are missing, cut off, or in another format."""


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Requests(_Form):
    """How many requests there were.

    Attributes:
        count: Requests that were sent.
        per_second: Their mean rate.
        failed: Those that were answered as the scenario does not expect, or not at all.
        refused: Those answered with 429.
        dropped: Requests that k6 could not send in time, since all its clients were waiting.
    """

    count: int
    per_second: float
    failed: int
    refused: int
    dropped: int


class Texts(_Form):
    """How many texts were answered from the cache, and how many were not."""

    hits: int
    misses: int

    @property
    def count(self) -> int:
        """Texts that were answered."""
        return self.hits + self.misses

    @property
    def hit_ratio(self) -> float | None:
        """Share of the texts that were answered from the cache."""
        return self.hits / self.count if self.count else None


class Latency(_Form):
    """Distribution of the time from a request to the end of its answer, in milliseconds."""

    count: int
    min: float
    avg: float
    p50: float
    p90: float
    p95: float
    p99: float
    p999: float
    max: float


class Latencies(_Form):
    """Latency of answers and of refusals; of answers with cached texts alone, and of the others."""

    answered: Latency | None
    refused: Latency | None
    cached: Latency | None
    computed: Latency | None


class Threshold(_Form):
    """A rule that a metric of k6 had to keep."""

    metric: str
    rule: str
    ok: bool


class Service(BaseModel):
    """What served: the part of `GET /project/info` that a report shows."""

    model_config = ConfigDict(frozen=True)

    model: str
    revision: str
    engine: str
    versions: dict[str, str]


class Client(_Form):
    """What sent the load.

    Attributes:
        cpu: Name of the processor.
        cores: Cores that this process may use.
        memory_gib: Main memory.
        system: Operating system.
        k6: Version of k6.
        serves: Whether the service ran on the same machine and shared its cores with k6.
    """

    cpu: str
    cores: int
    memory_gib: float
    system: str
    k6: str
    serves: bool


class Summary(_Form):
    """What `loadtest/k6/summary.js` writes at the end of a run."""

    format: Literal[2]
    scenario: str
    url: str
    started_s: float
    duration_s: float
    settings: Mapping[str, int | float | str]
    p99_limit_ms: float
    requests: Requests
    texts: Texts
    latency_ms: Latencies
    thresholds: tuple[Threshold, ...]
    service: Service
    client: Client | None


class RoleUsage(_Form):
    """What the processes of a role use together.

    Attributes:
        processes: How many there are.
        rss_bytes: Their resident memory; pages that several share are counted for each.
        cores: Processor time per time since the last observation.
    """

    processes: int
    rss_bytes: int
    cores: float


class Usage(_Form):
    """A line of `usage.jsonl`: one observation of the service.

    Attributes:
        time_s: When, since the epoch.
        ready: Whether `GET /project/ready` answered 200 within a second.
        cache: What it said of the cache, where it said anything.
        roles: Usage by role, for a service on this machine.
    """

    time_s: float
    ready: bool
    cache: str | None
    roles: dict[str, RoleUsage]


def read_summary(directory: Path) -> Summary:
    """Read the summary of a run.

    Raises:
        RunUnreadable: It is missing, cut off, or of another form.
    """
    path = directory / SUMMARY
    hint = f"a run that ended has it; pass a directory that `make load` left, with {SUMMARY} in it"
    try:
        return Summary.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RunUnreadable(f"cannot read {path}: {error.strerror}", hint) from None
    except ValidationError as error:
        raise RunUnreadable(f"{path}: {first_problem(error)}", hint) from None


def read_usage(directory: Path) -> list[Usage]:
    """Read the observations of the service; none where it was not observed.

    Raises:
        RunUnreadable: A line is cut off or of another form.
    """
    path = directory / USAGE
    if not path.exists():
        return []
    observations = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            observations.append(Usage.model_validate_json(line))
        except ValidationError as error:
            raise RunUnreadable(
                f"{path}, line {number}: {first_problem(error)}", "delete that line"
            ) from None
    return observations


def first_problem(error: ValidationError) -> str:
    """Return where a file breaks its form first, and how, in one line."""
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else first["msg"]
