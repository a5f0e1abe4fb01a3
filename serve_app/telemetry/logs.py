"""Logs of the service's own processes: lines of JSON in production, of text for a person.

Ray Serve writes its stream as text whatever its configuration says, and logs arguments of calls:
https://github.com/ray-project/ray/issues/48182. So the logger `serve_app` has a handler of its
own, and Serve's access log stays off.
"""

import json
import logging
import sys
import time
import traceback
from typing import Any, Final, Literal, TextIO

LogForm = Literal["json", "text"]
ROOT: Final = "serve_app"


def configure(form: LogForm, level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Send what the package logs to one stream.

    Args:
        form: JSON for programs, text for a person.
        level: Records below it are dropped.
        stream: Standard output where it is None.
    """
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logger = logging.getLogger(ROOT)
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False


def timestamp(seconds: float) -> str:
    """Return a time since the epoch as RFC 3339 in UTC, to the millisecond."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}Z"


def _exception(exc_info: Any) -> str:
    """Return an exception's place and type, without its message, which may quote a text."""
    kind, _, trace = exc_info
    return f"{''.join(traceback.format_tb(trace))}{kind.__name__}"


class JsonFormatter(logging.Formatter):
    """One JSON object per record; an exception's traceback is its member `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line."""
        members = {
            "time": timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            members["exception"] = _exception(record.exc_info)
        return json.dumps(members)


class TextFormatter(logging.Formatter):
    """Time, level and message; further lines of a message or a traceback are indented."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's lines."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + _exception(record.exc_info)
        return f"{clock} {record.levelname.lower()}: " + text.replace("\n", "\n    ")
