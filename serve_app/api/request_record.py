"""What is known of a prediction request when it is over; metrics and logs are made of it."""

import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final, NamedTuple, TextIO

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.scores import Classification, StageTimes
from serve_app.telemetry.logs import LogForm, timestamp
from serve_app.telemetry.metrics import (
    CACHE_SECONDS,
    REFUSED_TEXTS,
    REQUEST_SECONDS,
    REQUESTS,
    TRUNCATED_TEXTS,
    MetricSink,
)

_KEY: Final = "sentiment.observation"
# What nginx and Ray Serve count a request as whose client left.
CLIENT_LEFT: Final = 499


class Report(NamedTuple):
    """One request for predictions, without a word of its texts.

    Attributes:
        ended: Time of its end, in seconds since the epoch.
        request_id: Its `X-Request-ID`, which the client may have chosen.
        path: One of the paths of predictions.
        status: HTTP status; 499 where the client left.
        outcome: `ok`, `disconnected`, or the last part of the problem's type.
        texts: How many texts it asked for; None where it was refused before they were counted.
        hits: How many came from the cache.
        misses: How many did not; both are zero where there is no answer.
        truncated: How many had more tokens than the model reads.
        times: Stage times in milliseconds; None where there is no answer.
        seconds: Time from the request's arrival to the last byte of the answer.
    """

    ended: float
    request_id: str
    path: str
    status: int
    outcome: str
    texts: int | None
    hits: int
    misses: int
    truncated: int
    times: StageTimes | None
    seconds: float


Observer = Callable[[Report], None]


class Observation:
    """What the stages of a request note while it is under way.

    Attributes:
        texts: How many texts it asks for, once they are counted.
        found: Their scores, once there are any.
        problem: Last part of the problem's type, once there is one.
    """

    __slots__ = ("found", "problem", "texts")

    def __init__(self) -> None:
        self.texts: int | None = None
        self.found: Classification | None = None
        self.problem: str | None = None


def observation(scope: Scope) -> Observation:
    """Return where to note what happens to this request."""
    noted: Observation = scope.get(_KEY) or Observation()
    return noted


class Observed:
    """ASGI middleware that reports every request for predictions when it is over.

    Args:
        app: The application within.
        paths: The paths of predictions; other requests pass unobserved.
        observers: Told about each request; they must not raise and return at once.
    """

    def __init__(self, app: ASGIApp, paths: Collection[str], observers: Sequence[Observer]) -> None:
        self._app = app
        self._paths = frozenset(paths)
        self._observers = observers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, then tell the observers."""
        if scope["type"] != "http" or scope["path"] not in self._paths:
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        noted = scope[_KEY] = Observation()
        status = CLIENT_LEFT

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, observed_send)
        except asyncio.CancelledError:
            status = CLIENT_LEFT
            raise
        finally:
            tell(self._observers, scope, noted, status, started)


def tell(
    observers: Sequence[Observer], scope: Scope, noted: Observation, status: int, started: float
) -> None:
    """Tell observers of a request that is over.

    Args:
        observers: Who is told.
        scope: The request's.
        noted: What was noted meanwhile.
        status: HTTP status of its answer.
        started: When it came, by `time.perf_counter`.
    """
    report = _report(scope, noted, status, time.perf_counter() - started)
    for observer in observers:
        observer(report)


def _report(scope: Scope, noted: Observation, status: int, seconds: float) -> Report:
    found = noted.found
    outcome = "disconnected" if status == CLIENT_LEFT else noted.problem or "ok"
    return Report(
        ended=time.time(),
        request_id=_request_id(scope["headers"]),
        path=scope["path"],
        status=status,
        outcome=outcome,
        texts=noted.texts,
        hits=found.hits if found else 0,
        misses=found.misses if found else 0,
        truncated=sum(text.truncated for text in found.texts) if found else 0,
        times=found.times if found else None,
        seconds=seconds,
    )


def _request_id(headers: Any) -> str:
    for name, value in headers:
        if name == b"x-request-id":
            return str(value, "latin-1")
    return ""


WRITE_S: Final = 0.2
"""Seconds between two writes: most that is lost when a replica is killed."""

MAX_WAITING: Final = 10_000
"""Most lines that wait for a stream that does not take them; the oldest are dropped."""

MAX_ID_CHARS: Final = 128


class RequestLog:
    """Observes requests.

    The lines are made and written by whoever calls `write`, so that no request waits for a
    terminal, a pipe or a disk.

    Args:
        form: JSON for programs, text for a person.
        stream: Standard output where it is None.

    Attributes:
        enabled: Whether requests are logged; may change at any time.
    """

    def __init__(self, form: LogForm, stream: TextIO | None = None) -> None:
        self.enabled = True
        self._line = json_line if form == "json" else text_line
        self._stream = stream or sys.stdout
        self._waiting: deque[Report] = deque(maxlen=MAX_WAITING)

    def __call__(self, report: Report) -> None:
        """Keep a request that is over for the next `write`."""
        if self.enabled:
            self._waiting.append(report)

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


def json_line(report: Report) -> str:
    """Return a request as one JSON object.

    Put together by hand, which takes a third of the time of `json.dumps`: of its values only the
    id is not the service's own.
    """
    level = "error" if report.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "info"
    line = (
        f'{{"time":"{timestamp(report.ended)}","level":"{level}","logger":"serve_app.request",'
        f'"request_id":{json.dumps(report.request_id[:MAX_ID_CHARS])},"path":"{report.path}",'
        f'"status":{report.status},"outcome":"{report.outcome}",'
        f'"total_ms":{report.seconds * 1000:.3f}'
    )
    if report.texts is not None:
        line += f',"texts":{report.texts}'
    if times := report.times:
        line += (
            f',"cache_hits":{report.hits},"cache_misses":{report.misses},'
            f'"truncated":{report.truncated},"cache_ms":{times.cache:.3f},'
            f'"queue_ms":{times.queue:.3f},"inference_ms":{times.inference:.3f}'
        )
    return line + "}"


def text_line(report: Report) -> str:
    """Return a request as one line for a person."""
    clock = time.strftime("%H:%M:%S", time.localtime(report.ended))
    line = f"{clock} {report.path} {report.status} {report.seconds * 1000:.1f} ms"
    if report.outcome != "ok":
        line += f" {report.outcome}"
    if report.texts is not None:
        line += f" texts={report.texts}"
    if times := report.times:
        line += (
            f" hits={report.hits} truncated={report.truncated} cache={times.cache:.1f}"
            f" queue={times.queue:.1f} inference={times.inference:.1f}"
        )
    # The client chooses the id: quoted, it cannot pass for anything else.
    return f"{line} id={json.dumps(report.request_id[:MAX_ID_CHARS])}"


class RequestMetrics:
    """Observes requests.

    Args:
        meters: Take the values.
    """

    def __init__(self, meters: MetricSink) -> None:
        self._meters = meters

    def __call__(self, report: Report) -> None:
        """Count one request that is over."""
        meters = self._meters
        meters.count(REQUESTS, 1, str(report.status), report.outcome)
        if report.outcome == "ok":
            meters.observe(REQUEST_SECONDS, report.seconds)
            if report.truncated:
                meters.count(TRUNCATED_TEXTS, report.truncated)
        elif report.texts:
            meters.count(REFUSED_TEXTS, report.texts, report.outcome)
        if report.times:
            meters.observe(CACHE_SECONDS, report.times.cache / 1000)
