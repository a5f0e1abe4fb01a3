"""The load generator: open and closed loops over keep-alive connections.

It shares the machine with what it measures, so it has to use little CPU: a request costs a few
callbacks, see `loadtest.connections`.
"""

import asyncio
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, Literal, NamedTuple, Self

import uvloop

from loadtest.connections import Answer, Client, Request

OK: Final = 200
BUSY: Final = 429
# Statuses that ask to come again, and those with which a proxy reports a replica that is gone.
RETRIED: Final = frozenset({0, BUSY, 500, 502, 503})
RETRY_S: Final = 0.1
TIMEOUT_S: Final = 45.0

Kind = Literal["right", "refused", "broken", "wrong", "left"]
Check = Callable[[Request, Answer], str]


class Stream(NamedTuple):
    """Requests of one sort, in an open loop (`rate`) or a closed one (`connections`).

    Attributes:
        name: Tells its records from others.
        rate: Mean requests each second of an open loop: sent when due, with random gaps.
        seconds: For how long.
        texts: Texts in each.
        begin_s: When it begins.
        deadline_ms: What each asks for; zero asks for nothing.
        long: Whether its texts are long.
        leave_s: After how long a client leaves; zero: none does.
        connections: How many clients of a closed loop ask again once they are answered.
        pause_s: How long such a client waits before it does.
        patient_s: For how long refused and lost requests are tried again.
        in_turn: Whether texts come in turn instead of at random.
    """

    name: str
    rate: float = 0.0
    seconds: float = math.inf
    texts: int = 1
    begin_s: float = 0.0
    deadline_ms: int = 0
    long: bool = False
    leave_s: float = 0.0
    connections: int = 0
    pause_s: float = 0.0
    patient_s: float = 0.0
    in_turn: bool = False


class Record(NamedTuple):
    """One request.

    Attributes:
        stream: Which one it belongs to.
        url: Where it was sent.
        sent: When it was due, in seconds since the epoch.
        seconds: Until its answer, retries included.
        kind: What became of it.
        status: The last status; zero without an answer.
        attempts: How often it was sent.
        texts: Texts in it.
        note: What was wrong.
        headers: Those of `KEPT` that the answer had, where they are kept.
    """

    stream: str
    url: str
    sent: float
    seconds: float
    kind: Kind
    status: int
    attempts: int = 1
    texts: int = 1
    note: str = ""
    headers: dict[str, str] = {}  # noqa: RUF012


class Generator:
    """Sends streams of requests and keeps a record of each.

    Args:
        urls: Where requests go, in turn; may be set anew at any time.
        check: Returns what is wrong with an answer; nothing where it is right, or refuses clearly.
        headers: Whether records have headers.
        strict: Stop at the first answer that is not right.

    Attributes:
        records: What became of requests so far.
        stopping: Set it to send nothing more.
        failure: What was wrong with the answer that stopped a strict generator.
    """

    def __init__(
        self,
        urls: Sequence[str],
        check: Check,
        *,
        headers: bool = True,
        strict: bool = False,
    ) -> None:
        self.urls = urls
        self.records: list[Record] = []
        self.stopping = False
        self.failure = ""
        self._check = check
        self._headers = headers
        self._strict = strict
        self._turn = 0
        self._under_way = 0
        self._epoch = time.time() - time.monotonic()

    async def run(self, streams: Iterable[tuple[Stream, Iterator[Request]]]) -> None:
        """Send everything, and wait for all answers."""
        self._client = Client(headers=self._headers)
        self._loop = asyncio.get_running_loop()
        self._quiet = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as tasks:
                for stream, requests in streams:
                    tasks.create_task(self._stream(stream, requests))
            while self._under_way and not self.failure:
                self._quiet.clear()
                await self._quiet.wait()
        finally:
            self._client.close()

    async def _stream(self, stream: Stream, requests: Iterator[Request]) -> None:
        due = time.monotonic() + stream.begin_s
        end = due + stream.seconds
        if stream.connections:
            await asyncio.sleep(stream.begin_s)
            self._closed_loop(stream, requests, end)
            return
        chosen = random.Random(stream.name)
        while (due := due + chosen.expovariate(stream.rate)) < end and not self.stopping:
            await asyncio.sleep(due - time.monotonic())
            self._under_way += 1
            self._send(stream, next(requests), due, self._end)

    def _closed_loop(self, stream: Stream, requests: Iterator[Request], end: float) -> None:
        def ask() -> None:
            if self.stopping or (now := time.monotonic()) >= end:
                self._end()
            else:
                self._send(stream, next(requests), now, ask_later if stream.pause_s else ask)

        def ask_later() -> None:
            self._loop.call_later(stream.pause_s, ask)

        for _ in range(stream.connections):
            self._under_way += 1
            ask()

    def _send(
        self,
        stream: Stream,
        request: Request,
        due: float,
        then: Callable[[], None],
        attempt: int = 1,
    ) -> None:
        url = self.urls[self._turn % len(self.urls)]
        self._turn += 1
        # The user of a strict generator limits the time of the whole run: no timer for a request.
        left_s = math.inf if self._strict else stream.leave_s or TIMEOUT_S
        if stream.patient_s:
            left_s = max(due + stream.patient_s - time.monotonic(), RETRY_S)

        def answered(answer: Answer) -> None:
            now = time.monotonic()
            patience_s = stream.patient_s
            if patience_s and answer.status in RETRIED and now + RETRY_S < due + patience_s:
                again = partial(self._send, stream, request, due, then, attempt + 1)
                self._loop.call_later(RETRY_S, again)
                return
            status, headers, _, error = answer
            try:
                error = error or self._check(request, answer)
            except (ValueError, LookupError, TypeError) as unexpected:
                error = f"an answer of another form: {unexpected!r}"
            kind: Kind = "right" if status == OK else "refused"
            if error:
                kind = "wrong" if status else "left" if stream.leave_s else "broken"
            sent, texts = self._epoch + due, len(request.texts)
            self.records.append(
                Record(
                    stream.name, url, sent, now - due, kind, status, attempt, texts, error, headers
                )
            )
            if self._strict and kind != "right":
                self.stopping, self.failure = True, error or f"status {status}"
                self._quiet.set()
            then()

        self._client.send(url, request, left_s, answered)

    def _end(self) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._quiet.set()


class Load(Generator):
    """A generator in a thread of this process, from entering to leaving; see `Generator`."""

    def __init__(
        self,
        urls: Sequence[str],
        check: Check,
        streams: Iterable[tuple[Stream, Iterator[Request]]],
    ) -> None:
        super().__init__(urls, check)
        self._streams = streams
        self._thread = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        """Begin to send."""
        self._running = self._thread.submit(uvloop.run, self.run(self._streams))
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and wait for the last answers."""
        self.stopping = True
        self._thread.shutdown()
        self._running.result()
