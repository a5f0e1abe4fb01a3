"""What the load generator reaches where the server does nothing."""

import asyncio
import multiprocessing
from multiprocessing.connection import Connection
from typing import cast

import uvloop

from loadtest.bench.measure import MARK, Measurement, Pace, drive
from loadtest.bench.texts import Texts
from loadtest.bench.workloads import WORKLOADS

_BODY = b'{"predictions":[[{"label":' + MARK + b',"score":0.5}]]}'
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
_WARM_UP_S = 0.5


class _Echo(asyncio.Protocol):
    """Answers whatever arrives at once, which is one request of one text."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(_ANSWER)


def generator_ceiling(seconds: float) -> Measurement:
    """Drive a server without content with the workload of all hits."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=_serve, args=(there,))
    server.start()
    try:
        workload, url = WORKLOADS["H1"], f"http://127.0.0.1:{here.recv()}/"
        requests = workload.requests(Texts())
        return drive(url, requests, workload.connections, Pace(_WARM_UP_S, seconds, 1))
    finally:
        server.kill()
        server.join()


def _serve(told: Connection) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(_Echo, "127.0.0.1", 0)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(serve())
