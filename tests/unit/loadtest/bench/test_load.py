import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, repeat

import pytest

from loadtest.bench.load import WrongAnswer, drive
from loadtest.bench.workloads import Request

REQUESTS = repeat(Request(b'{"text":["a","b"]}', texts=2))
SLOW_S = 1.0
TWO = b'{"predictions":[[{"label":"POSITIVE"}],[{"label":"POSITIVE"}]]}'


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing about clients that leave."""


@contextmanager
def server(
    status: int,
    body: bytes,
    *,
    keep_alive_s: float | None = None,
    slow_every: int = 0,
    last_every: int = 0,
) -> Iterator[str]:
    """Answer all requests alike, but some after a while, and some as their connection's last."""
    asked = count(1)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = keep_alive_s

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            number = next(asked)
            if slow_every and number % slow_every == 0:
                time.sleep(SLOW_S)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if last_every and number % last_every == 0:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}/"
        finally:
            listening.shutdown()
            thread.join()


def test_it_counts_requests_and_their_texts() -> None:
    edges: list[str] = []
    with server(200, TWO) as url:
        found = drive(
            url,
            REQUESTS,
            connections=3,
            warm_up_s=0.1,
            seconds=0.3,
            at_edges=lambda: edges.append("edge"),
        )
    assert found.requests_s > 0
    assert found.texts_s == pytest.approx(2 * found.requests_s)
    assert 0 < found.p50_ms <= found.p95_ms <= found.p99_ms
    assert edges == ["edge", "edge"]


@pytest.mark.parametrize(
    ("status", "body"),
    [(503, TWO), (200, b'{"predictions":[[{"label":"POSITIVE"}]]}'), (200, b"")],
)
def test_a_wrong_answer_ends_the_measurement(status: int, body: bytes) -> None:
    with server(status, body) as url, pytest.raises(WrongAnswer, match=f"status {status}"):
        drive(url, REQUESTS, connections=2, warm_up_s=0.1, seconds=0.2)


def test_a_server_may_close_a_connection_that_waits_for_nothing() -> None:
    # One connection is done while the other waits for a slow answer. On a busy machine, it may be
    # long before the next request of a connection, too.
    with server(200, TWO, keep_alive_s=0.5, slow_every=3) as url:
        found = drive(url, REQUESTS, connections=2, warm_up_s=0.1, seconds=0.2)
    assert found.requests_s > 0


def test_where_a_server_announces_the_end_of_a_connection_another_takes_its_place() -> None:
    with server(200, TWO, last_every=3) as url:
        found = drive(url, REQUESTS, connections=2, warm_up_s=0.1, seconds=0.3)
    assert found.requests_s * found.seconds > 6
