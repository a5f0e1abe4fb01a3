"""Logs of the service's own processes: lines of JSON in production, of text for a person.

Ray Serve writes text whatever its configuration says, and logs arguments of calls
(https://github.com/ray-project/ray/issues/48182): `serve_app` has a handler of its own.
"""

import json
import logging
import sys
import time
import traceback
from typing import Any, Literal, TextIO

LogForm = Literal["json", "text"]


def configure(form: LogForm, stream: TextIO | None = None) -> None:
    """Send what the package logs to one stream, standard output by default."""
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(Formatter(form))
    logger = logging.getLogger("serve_app")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def timestamp(seconds: float) -> str:
    """Return a time since the epoch as RFC 3339 in UTC, to the millisecond."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}Z"


class Formatter(logging.Formatter):
    """One object of JSON a record, or its time, level and message with further lines indented."""

    def __init__(self, form: LogForm) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line or lines."""
        level, text = record.levelname.lower(), record.getMessage()
        exception = self.formatException(record.exc_info) if record.exc_info else ""
        if self._form == "json":
            time_ = timestamp(record.created)
            members = {"time": time_, "level": level, "logger": record.name, "message": text}
            return json.dumps(members | ({"exception": exception} if exception else {}))
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        lines = f"{clock} {level}: {text}" + (f"\n{exception}" if exception else "")
        return lines.replace("\n", "\n    ")

    def formatException(self, ei: Any) -> str:
        """Return an exception's place and type, without its message, which may quote a text."""
        kind, _, trace = ei
        return f"{''.join(traceback.format_tb(trace))}{kind.__name__}"
