"""What the gateway of this process can answer from its memory alone."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Scope

from serve_app.api.authentication import authorized
from serve_app.api.body_budget import FREE_BYTES
from serve_app.api.deadline import DEADLINE_HEADER, MAX_DIGITS
from serve_app.api.dialect import Dialect
from serve_app.api.fast_lane import REQUEST_ID
from serve_app.api.report import Observation, Observer
from serve_app.gateway.service import RememberingService

# What these ask for, or what is wrong about it, is the application's affair.
SPECIAL: Final = {DEADLINE_HEADER.lower().encode(), b"content-encoding", b"origin"}


class MemoryLane:
    """Answers requests all of whose texts are in a gateway's memory; see `FastLane`.

    Args:
        service: The gateway, which belongs to the running event loop.
        dialects: What clients may ask by POST, by path.
        observers: Told about each request that is answered.
    """

    def __init__(
        self,
        service: RememberingService,
        dialects: Mapping[str, Dialect[Any]],
        observers: Sequence[Observer],
    ) -> None:
        self.observers = observers
        self._service = service
        self._dialects = dialects
        self._loop = asyncio.get_running_loop()

    def takes(self, scope: Scope) -> bool:
        """Tell whether a request asks for what can be in memory, and its client may know it."""
        if scope["type"] != "http" or scope["method"] != "POST":
            return False
        if scope["path"] not in self._dialects or asyncio.get_running_loop() is not self._loop:
            return False
        headers, settings = dict(scope["headers"]), self._service.settings
        return (
            SPECIAL.isdisjoint(headers)
            and headers.get(REQUEST_ID, b"").isascii()
            and _declared_bytes(headers) <= min(FREE_BYTES, settings.max_body_bytes)
            and authorized(settings, scope)
        )

    def answer(
        self, scope: Scope, body: bytes, noted: Observation, started: float
    ) -> Response | None:
        """Return the answer if all of it is in memory; see `Lane.answer`."""
        dialect = self._dialects[scope["path"]]
        try:
            asked = dialect.read(body, self._service.settings)
            found = self._service.recall(asked.texts)
            if found is None:
                return None
            answer = dialect.answer(asked, self._service.model, found, started)
        except Exception:
            # The application meets it again, and tells the client and the log.
            return None
        noted.texts, noted.found = len(asked.texts), found
        return answer


def _declared_bytes(headers: Mapping[bytes, bytes]) -> float:
    declared = headers.get(b"content-length", b"")
    # Python refuses to read a number of thousands of digits.
    return int(declared) if declared.isdigit() and len(declared) <= MAX_DIGITS else math.inf
