"""One line for every request for predictions, and not a word of its texts."""

import json
import sys
import time
from collections import deque
from contextlib import suppress
from http import HTTPStatus
from typing import Final, TextIO

from serve_app.api.report import Report
from serve_app.logs import LogForm, timestamp

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
