import json
import math
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, repeat

import pytest
import uvloop

from loadtest.answers import problem
from loadtest.bench.measure import Pace, WrongAnswer, drive
from loadtest.connections import Answer, Request
from loadtest.generator import Generator, Load, Record, Stream
from loadtest.traffic import counts, requests

REQUESTS = repeat(Request(b'{"text":["a","b"]}', texts=["a", "b"]))
PACE = Pace(0.1, 0.3, 1)
SLOW_S = 1.0
TWO = b'{"predictions":[[{"label":"POSITIVE"}],[{"label":"POSITIVE"}]]}'
KNOWN = {"first": {"good": 2.0}, "second": {"good": -1.0}}
FIRST = {"X-Model-Revision": "first"}
PROBLEM = {"Content-Type": "application/problem+json"}


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing about clients that leave."""


@contextmanager
def server(
    status: int,
    body: bytes,
    headers: Mapping[str, str] | None = None,
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
            if not status:
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
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


def test_a_closed_loop_counts_requests_and_their_texts() -> None:
    edges: list[str] = []
    with server(200, TWO) as url:
        found = drive(url, REQUESTS, 3, PACE, at_edges=lambda: edges.append("edge"))
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
        drive(url, REQUESTS, 2, PACE)


def test_a_server_that_is_not_there_ends_the_measurement() -> None:
    with pytest.raises(WrongAnswer, match="no connection"):
        drive("http://127.0.0.1:9/", REQUESTS, 2, PACE)


def test_a_server_may_close_a_connection_that_waits_for_nothing() -> None:
    # One connection is done while the other waits for a slow answer. On a busy machine, it may be
    # long before the next request of a connection, too.
    with server(200, TWO, keep_alive_s=0.5, slow_every=3) as url:
        found = drive(url, REQUESTS, 2, PACE)
    assert found.requests_s > 0


def test_where_a_server_announces_the_end_of_a_connection_another_takes_its_place() -> None:
    with server(200, TWO, last_every=3) as url:
        found = drive(url, REQUESTS, 2, PACE)
    assert found.requests_s * found.seconds > 6


def prediction(margin: float) -> bytes:
    positive = 1 / (1 + math.exp(-margin))
    scores = [
        {"label": "POSITIVE", "score": positive},
        {"label": "NEGATIVE", "score": 1 - positive},
    ]
    return json.dumps({"predictions": [scores]}).encode()


def sent(url: str, stream: Stream) -> list[Record]:
    """Send a stream of requests for one text, and return their records."""
    generator = Generator([url], lambda asked, answer: problem(asked.texts, answer, KNOWN))
    uvloop.run(generator.run([(stream, requests(stream, ["good"]))]))
    return generator.records


def refusal(status: int) -> bytes:
    return json.dumps({"status": status}).encode()


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind"),
    [
        pytest.param(200, prediction(2.0), FIRST, "right", id="right"),
        pytest.param(200, prediction(-1.0), FIRST, "wrong", id="of another revision"),
        pytest.param(200, prediction(2.0), {}, "wrong", id="of no revision"),
        pytest.param(200, TWO, FIRST, "wrong", id="of another number"),
        pytest.param(200, b"{", FIRST, "wrong", id="no JSON"),
        pytest.param(429, refusal(429), PROBLEM | {"Retry-After": "1"}, "refused", id="refused"),
        pytest.param(429, refusal(429), PROBLEM, "wrong", id="refused without a time"),
        pytest.param(504, refusal(504), PROBLEM, "refused", id="late"),
        pytest.param(500, refusal(500), PROBLEM, "wrong", id="failed"),
        pytest.param(503, b"unavailable", {"Retry-After": "1"}, "wrong", id="in plain text"),
        pytest.param(0, b"", {}, "broken", id="cut off"),
    ],
)
def test_an_answer_is_right_refused_broken_or_wrong(
    status: int, body: bytes, headers: dict[str, str], kind: str
) -> None:
    with server(status, body, headers) as url:
        records = sent(url, Stream("one", connections=1, seconds=0.01))
    assert {record.kind for record in records} == {kind}
    assert counts(records).clean == (kind in {"right", "refused"})


def test_an_open_loop_sends_what_is_due_whether_answered_or_not() -> None:
    with server(200, prediction(2.0), FIRST, slow_every=1) as url:
        records = sent(url, Stream("open", rate=40, seconds=0.5))
    assert len(records) > 5
    assert max(record.sent for record in records) - records[0].sent < SLOW_S
    assert {record.kind for record in records} == {"right"}


def test_a_client_that_leaves_is_neither_answered_nor_broken() -> None:
    with server(200, prediction(2.0), FIRST, slow_every=1) as url:
        records = sent(url, Stream("leaving", connections=2, seconds=0.05, leave_s=0.1))
    assert [record.kind for record in records] == ["left", "left"]
    assert counts(records).clean


def test_a_patient_client_asks_again_until_its_time_is_up() -> None:
    with server(503, refusal(503), PROBLEM | {"Retry-After": "1"}) as url:
        (record,) = sent(url, Stream("patient", connections=1, seconds=0.01, patient_s=0.5))
    assert record.kind == "refused"
    assert record.attempts > 1


def test_a_load_goes_to_all_urls_in_turn_until_it_is_left() -> None:
    def fine(_: Request, answer: Answer) -> str:
        return "" if answer.status == 200 else "refused"

    with server(200, TWO) as first, server(200, TWO) as second:
        with Load([first], fine, [(Stream("", connections=2, pause_s=0.01), REQUESTS)]) as load:
            while not load.records:
                time.sleep(0.01)
            load.urls = [first, second]
            while {record.url for record in load.records} != {first, second}:
                time.sleep(0.01)
        done = len(load.records)
        time.sleep(0.05)
        assert len(load.records) == done
    assert {record.kind for record in load.records} == {"right"}
