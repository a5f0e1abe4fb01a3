"""Records of prediction requests, and what is made of them: log, metrics, recent figures."""

import json
import math
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, TextIO

from starlette.datastructures import Headers
from starlette.types import Scope

from serve_app.api.problems import CLIENT_LEFT
from serve_app.scores import Classification, StageTimes
from serve_app.telemetry import metrics
from serve_app.telemetry.logs import LogForm, timestamp
from serve_app.telemetry.metrics import MetricSink


@dataclass(slots=True)
class RequestRecord:
    """A prediction request, without its texts: what is known of it so far, at its end all.

    It began at `started` of `time.perf_counter`, `ended` at a time since the epoch, and took
    `seconds` from its arrival to the last byte of the answer. The status is 499 and the outcome
    `disconnected` where the client left; other outcomes are `ok` and the last part of the problem's
    type. `texts` is None where they were not counted. Hits and misses are zero where there is no
    answer, the times in milliseconds None.
    """

    started: float = field(default_factory=time.perf_counter)
    request_id: str = ""
    path: str = ""
    status: int = CLIENT_LEFT
    outcome: str = "ok"
    texts: int | None = None
    hits: int = 0
    misses: int = 0
    truncated: int = 0
    times: StageTimes | None = None
    ended: float = 0.0
    seconds: float = 0.0

    def add_result(self, result: Classification) -> None:
        """Count the texts of an answer, by what is known of them."""
        self.hits, self.misses, self.times = result.hits, result.misses, result.times
        self.truncated = sum(text.truncated for text in result.logits)

    def end(self, observers: Sequence["Observer"], scope: Scope) -> None:
        """Complete the record of a request that is over, and give it to observers."""
        self.request_id = Headers(scope=scope).get("x-request-id", "")
        self.path = scope["path"]
        if self.status == CLIENT_LEFT:
            self.outcome = "disconnected"
        self.ended, self.seconds = time.time(), time.perf_counter() - self.started
        for observer in observers:
            observer(self)


Observer = Callable[[RequestRecord], None]
"""Gets a record of each prediction request; it returns at once and does not raise."""

# Seconds between two writes: a replica that is killed loses the lines of that time.
WRITE_S: Final = 0.2
# Most lines that wait for a slow stream; the oldest are dropped.
MAX_WAITING: Final = 10_000
MAX_ID_CHARS: Final = 128


class RequestLog:
    """An observer that writes a line for each request while it is `enabled`.

    The lines are made and written by whoever calls `write`, so that no request waits for a
    terminal, a pipe or a disk. The stream is standard output by default.
    """

    def __init__(self, form: LogForm, stream: TextIO | None = None) -> None:
        self.enabled = True
        self._line = json_line if form == "json" else text_line
        self._stream = stream or sys.stdout
        self._waiting: deque[RequestRecord] = deque(maxlen=MAX_WAITING)

    def __call__(self, record: RequestRecord) -> None:
        """Keep a request that is over for the next `write`."""
        if self.enabled:
            self._waiting.append(record)

    def write(self) -> None:
        """Write the lines that wait."""
        lines = []
        with suppress(IndexError):
            for _ in range(len(self._waiting)):
                lines.append(self._line(self._waiting.popleft()) + "\n")
        # A stream that is closed or broken must not end the thread that writes.
        with suppress(OSError, ValueError):
            if lines:
                self._stream.write("".join(lines))
                self._stream.flush()


def json_line(record: RequestRecord) -> str:
    """Return a request as one JSON object.

    `json.dumps` takes three times as long. The id alone comes from the client and needs quoting.
    """
    level = "error" if record.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "info"
    line = (
        f'{{"time":"{timestamp(record.ended)}","level":"{level}","logger":"serve_app.request",'
        f'"request_id":{json.dumps(record.request_id[:MAX_ID_CHARS])},"path":"{record.path}",'
        f'"status":{record.status},"outcome":"{record.outcome}",'
        f'"total_ms":{record.seconds * 1000:.3f}'
    )
    if record.texts is not None:
        line += f',"texts":{record.texts}'
    if times := record.times:
        line += (
            f',"cache_hits":{record.hits},"cache_misses":{record.misses},'
            f'"truncated":{record.truncated},"cache_ms":{times.cache:.3f},'
            f'"queue_ms":{times.queue:.3f},"inference_ms":{times.inference:.3f}'
        )
    return line + "}"


def text_line(record: RequestRecord) -> str:
    """Return a request as one line for a person."""
    clock = time.strftime("%H:%M:%S", time.localtime(record.ended))
    line = f"{clock} {record.path} {record.status} {record.seconds * 1000:.1f} ms"
    if record.outcome != "ok":
        line += f" {record.outcome}"
    if record.texts is not None:
        line += f" texts={record.texts}"
    if times := record.times:
        line += (
            f" hits={record.hits} truncated={record.truncated} cache={times.cache:.1f}"
            f" queue={times.queue:.1f} inference={times.inference:.1f}"
        )
    # The client chooses the id: quoted, it cannot pass for anything else.
    return f"{line} id={json.dumps(record.request_id[:MAX_ID_CHARS])}"


@dataclass(frozen=True)
class RequestMetrics:
    """An observer that counts requests in the metrics."""

    sink: MetricSink

    def __call__(self, record: RequestRecord) -> None:
        """Count one request that is over."""
        self.sink.count(metrics.REQUESTS, 1, str(record.status), record.outcome)
        if record.outcome == "ok":
            self.sink.observe(metrics.REQUEST_SECONDS, record.seconds)
            if record.truncated:
                self.sink.count(metrics.TRUNCATED_TEXTS, record.truncated)
        elif record.texts:
            self.sink.count(metrics.REFUSED_TEXTS, record.texts, record.outcome)
        if record.times:
            self.sink.observe(metrics.CACHE_SECONDS, record.times.cache / 1000)


WINDOW_S: Final = 10
"""Full seconds that the figures cover."""

_MIN_TIME_S: Final = 1e-4
_BUCKETS_PER_OCTAVE: Final = 8


def bucket(seconds: float) -> int:
    """Return the bucket of a time; bounds grow by 2^(1/8)."""
    octaves = math.log2(max(seconds, _MIN_TIME_S) / _MIN_TIME_S)
    return math.floor(_BUCKETS_PER_OCTAVE * octaves)


def middle(index: int) -> float:
    """Return the geometric middle of a bucket in seconds, at most 4.5 % off any time in it."""
    middle_s: float = _MIN_TIME_S * 2 ** ((index + 0.5) / _BUCKETS_PER_OCTAVE)
    return middle_s


@dataclass
class RecentFigures:
    """Counts of recent requests: refusals, and answers with their texts, cache hits and times.

    Clients who left are not counted. `times` has the number of answers by the `bucket` of their
    time, and `classifiers` are the replicas that a gateway knows.
    """

    refused: int = 0
    texts: int = 0
    hits: int = 0
    times: Counter[int] = field(default_factory=Counter)
    classifiers: int = 0


def total(figures: Iterable[RecentFigures]) -> RecentFigures:
    """Return the sum of figures; gateways know the same classifiers, some of them earlier."""
    result = RecentFigures()
    for each in figures:
        result.refused += each.refused
        result.texts += each.texts
        result.hits += each.hits
        result.times += each.times
        result.classifiers = max(result.classifiers, each.classifiers)
    return result


class RecentRequests:
    """An observer of requests that counts those of the last `WINDOW_S` full seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # The window and the current second.
        self._seconds: deque[tuple[int, RecentFigures]] = deque(maxlen=WINDOW_S + 1)

    def __call__(self, record: RequestRecord) -> None:
        """Count a request that has ended."""
        now = int(self._clock())
        if not self._seconds or self._seconds[-1][0] != now:
            self._seconds.append((now, RecentFigures()))
        _, second = self._seconds[-1]
        if record.outcome == "ok":
            second.texts += record.hits + record.misses
            second.hits += record.hits
            second.times[bucket(record.seconds)] += 1
        elif record.outcome != "disconnected":
            second.refused += 1

    def figures(self, classifiers: int) -> RecentFigures:
        """Return the sum of the window, with the number of classifier replicas."""
        now = int(self._clock())
        window = total(second for at, second in self._seconds if now - WINDOW_S <= at < now)
        window.classifiers = classifiers
        return window
