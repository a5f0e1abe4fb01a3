"""The load generator: keep-alive connections that each ask again as soon as they are answered."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, cast
from urllib.parse import urlsplit

import httptools
import numpy as np
import uvloop

from loadtest.bench.workloads import Request

# Every system answers in the form of our contract, in which each prediction names this once.
MARK: Final = b'"POSITIVE"'
OK: Final = 200
ANSWER_TIMEOUT_S: Final = 60.0


class WrongAnswer(Exception):
    """A system answered otherwise than every correct one would."""


@dataclass(frozen=True)
class Measurement:
    """What was answered in a span of time.

    Attributes:
        seconds: How long it was.
        requests_s: Requests answered a second.
        texts_s: Texts answered a second.
        p50_ms: Median time from request to answer.
        p95_ms: Its 95th percentile.
        p99_ms: Its 99th percentile.
        generator_cpu: CPUs that the load generator itself used.
    """

    seconds: float
    requests_s: float
    texts_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    generator_cpu: float


@dataclass
class _Run:
    """What the connections of a run share."""

    requests: Iterator[Request]
    head: bytes
    finished: asyncio.Future[None]
    address: tuple[str, int]
    waiting: int = 0
    stopping: bool = False
    latencies: list[float] = field(default_factory=list)
    texts: int = 0
    transports: list[asyncio.Transport] = field(default_factory=list)
    connecting: set[asyncio.Task[None]] = field(default_factory=set)

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(lambda: _Connection(self), *self.address)
        self.transports.append(transport)

    def connect_again(self) -> None:
        """Take the place of a connection that its server has announced the end of."""
        connecting = asyncio.ensure_future(self.connect())
        self.connecting.add(connecting)
        connecting.add_done_callback(self._connected)

    def _connected(self, connecting: asyncio.Task[None]) -> None:
        self.connecting.discard(connecting)
        if not connecting.cancelled() and (error := connecting.exception()):
            self.fail(f"no connection any more: {error}")

    def fail(self, reason: str) -> None:
        if not self.finished.done():
            self.finished.set_exception(WrongAnswer(reason))

    def answered(self, latency: float, texts: int) -> None:
        self.latencies.append(latency)
        self.texts += texts
        self.waiting -= 1
        if self.stopping and not self.waiting and not self.finished.done():
            self.finished.set_result(None)


class _Connection(asyncio.Protocol):
    """One keep-alive connection, with at most one request under way."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._asking = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's by behaviour, not by inheritance.
        self._transport = cast(asyncio.Transport, transport)
        if not self._run.stopping:
            self._ask()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._run.fail(f"no HTTP: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        # A server may close a connection that it owes nothing, which happens at the end of a run.
        if self._asking:
            self._run.fail(f"the connection was closed: {exc or 'by the server'}")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        run, (_, texts) = self._run, self._request
        status = self._parser.get_status_code()
        if status != OK or self._body.count(MARK) != texts:
            run.fail(f"status {status} and not {texts} predictions: {self._body[:300]!r}")
            return
        self._asking = False
        run.answered(time.perf_counter() - self._asked, texts)
        if run.stopping:
            return
        if self._parser.should_keep_alive():
            self._ask()
        else:
            run.connect_again()

    def _ask(self) -> None:
        self._body = b""
        self._parser = httptools.HttpResponseParser(self)
        self._request = next(self._run.requests)
        body = self._request.body
        self._run.waiting += 1
        self._asking = True
        self._asked = time.perf_counter()
        self._transport.write(self._run.head % len(body) + body)


def drive(
    url: str,
    requests: Iterator[Request],
    *,
    connections: int,
    warm_up_s: float,
    seconds: float,
    at_edges: Callable[[], None] = lambda: None,
) -> Measurement:
    """Load a system and count what it answers.

    Args:
        url: Where requests are posted to.
        requests: What to ask; never ends.
        connections: How many connections ask at once.
        warm_up_s: Seconds that are not counted.
        seconds: Seconds that are; more where not even one answer a connection has come by then.
        at_edges: Called when the counting begins and when it ends.

    Raises:
        WrongAnswer: An answer was not 200, had another number of predictions, or none came.
    """
    return uvloop.run(
        _drive(url, requests, connections, warm_up_s=warm_up_s, seconds=seconds, at_edges=at_edges)
    )


async def _drive(
    url: str,
    requests: Iterator[Request],
    connections: int,
    *,
    warm_up_s: float,
    seconds: float,
    at_edges: Callable[[], None],
) -> Measurement:
    loop = asyncio.get_running_loop()
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    )
    run = _Run(requests, head.encode(), loop.create_future(), (host, port))
    try:
        for _ in range(connections):
            await run.connect()
        await _work(run, warm_up_s)
        run.latencies, run.texts = [], 0
        at_edges()
        cpu, started = time.process_time(), time.perf_counter()
        await _work(run, seconds)
        while len(run.latencies) < connections and time.perf_counter() - started < ANSWER_TIMEOUT_S:
            await _work(run, 1.0)
        elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
        latencies, texts = run.latencies, run.texts
        at_edges()
        # What is under way is waited for, lest it burden the next measurement.
        run.latencies, run.stopping = [], True
        if not await _work(run, ANSWER_TIMEOUT_S):
            raise WrongAnswer(f"no answer within {ANSWER_TIMEOUT_S:.0f} s")
    finally:
        run.finished.cancel()
        for connecting in run.connecting:
            connecting.cancel()
        for transport in run.transports:
            transport.abort()
    if not latencies:
        raise WrongAnswer(f"no answer within {seconds:.0f} s; measure longer")
    milliseconds = np.percentile(np.asarray(latencies) * 1000, [50, 95, 99])
    p50, p95, p99 = (float(value) for value in milliseconds)
    return Measurement(
        seconds=elapsed,
        requests_s=len(latencies) / elapsed,
        texts_s=texts / elapsed,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        generator_cpu=cpu / elapsed,
    )


async def _work(run: _Run, seconds: float) -> bool:
    """Let the connections work; return whether all of them have stopped.

    Raises:
        WrongAnswer: One of them failed.
    """
    await asyncio.wait({run.finished}, timeout=seconds)
    if run.finished.done():
        run.finished.result()
    return run.finished.done()
