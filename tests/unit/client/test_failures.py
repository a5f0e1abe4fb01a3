import asyncio
import json
import re
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from loadtest.ports import free_port
from serve_app.client import (
    ConnectionFailed,
    DeadlinePassed,
    InvalidRequest,
    Overloaded,
    RetryPolicy,
    SentimentClient,
    ServerFailed,
    ServerTimeout,
    StatusError,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
)
from serve_app.errors import (
    DeadlineExceeded,
    InferenceFailed,
    ModelUnavailable,
    ServiceError,
    problem_members,
)
from serve_app.errors import Overloaded as ServiceOverloaded
from serve_app.settings import GatewaySettings
from tests.contract.hash_service import MODEL, READY, HashService, label_of
from tests.contract.server import hosted, serving

if TYPE_CHECKING:
    from tests.unit.client.conftest import Predict, Server

    Start = Callable[..., Server]

ONCE = RetryPolicy(retries=0)


def test_an_overloaded_service_is_asked_again(server: "Start", predict: "Predict") -> None:
    running = server([ServiceOverloaded("full")])
    [prediction] = predict(running.url, ["a"])
    assert prediction.label == label_of("a")
    assert running.service.requests == [["a"], ["a"]]
    ids = [headers["x-request-id"] for headers in running.observer.headers[1:]]
    assert ids[0] == ids[1]


def test_a_service_that_starts_during_the_retries_is_reached(predict: "Predict") -> None:
    service = HashService(GatewaySettings(), None, hangs=False, state=READY, model=MODEL)
    port = free_port()
    with ExitStack() as stack:

        def start() -> None:
            stack.enter_context(serving(hosted(service), port))

        timer = threading.Timer(0.3, start)
        timer.start()
        stack.callback(timer.join)
        retry = RetryPolicy(retries=100, base_s=0.1, cap_s=0.1)
        assert len(predict(f"http://127.0.0.1:{port}", ["a"], retry=retry)) == 1


@pytest.mark.parametrize(
    ("failure", "expected", "retry_after_s"),
    [
        (ServiceOverloaded("full"), Overloaded, 1.0),
        (ModelUnavailable("gone"), Unavailable, 5.0),
        (InferenceFailed("broken"), ServerFailed, None),
        (DeadlineExceeded("late"), ServerTimeout, None),
    ],
)
def test_errors_of_the_service_are_typed_and_carry_the_request_id(
    server: "Start",
    predict: "Predict",
    failure: ServiceError,
    expected: type[StatusError],
    retry_after_s: float | None,
) -> None:
    running = server([failure])
    with pytest.raises(expected) as caught:
        predict(running.url, ["a"], retry=ONCE)
    error = caught.value
    assert (error.status, error.title, error.detail) == (
        failure.status,
        failure.title,
        failure.detail,
    )
    assert error.retry_after_s == retry_after_s
    assert error.request_id == running.observer.headers[-1]["x-request-id"]
    assert error.request_id in str(error)


def test_an_invalid_request_names_the_places_that_the_service_refuses(
    server: "Start", predict: "Predict"
) -> None:
    running = server([])
    with SentimentClient(running.url) as client:
        client.info()
        running.service.settings = running.service.settings.model_copy(update={"max_chars": 1})
        with pytest.raises(InvalidRequest) as caught:
            client.predict(["a", "bc"])
    assert caught.value.errors[0]["loc"] == ["body", "text", 1]


def test_a_service_that_is_down_is_named_in_the_error(predict: "Predict") -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ConnectionFailed, match=url):
        predict(url, ["a"], retry=ONCE)


def test_a_call_ends_at_its_deadline(server: "Start", predict: "Predict") -> None:
    with pytest.raises(DeadlinePassed):
        predict(server(hangs=True, deadline_s=1.0).url, ["a"], deadline_s=0.3)


class Trickle:
    """A server whose answers come in pieces, each long before a timeout; counts them."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.sent = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while self.sent < self.most:
            self.sent += 1
            await send({"type": "http.response.body", "body": b"     ", "more_body": True})
            await asyncio.sleep(0.05)
        await send({"type": "http.response.body", "body": b"{}"})


def test_an_answer_that_trickles_ends_at_the_deadline(predict: "Predict") -> None:
    server = Trickle(most=200)
    with serving(server) as url:
        with pytest.raises(DeadlinePassed):
            predict(url, ["a"], deadline_s=0.3)
        assert server.sent < server.most
        server.most = 0


def test_the_answer_of_another_service_is_unexpected(predict: "Predict") -> None:
    app = Starlette(routes=[Route("/{path:path}", lambda _: PlainTextResponse("hello"))])
    with serving(app) as url, pytest.raises(UnexpectedAnswer):
        predict(url, ["a"])


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8000",
        "redis://localhost",
        "",
        "http://",
        "http://127.0.0.1:abc",
        "http://127.0.0.1:65536",
        "http://[::1",
        "http://a..b",
    ],
)
def test_an_invalid_url_is_refused(predict: "Predict", url: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(url))):
        predict(url, ["a"])


@pytest.mark.parametrize("key", ["s3cr3t\nX-Other: 1", "s3cr3t\0", "s3cr3tü"])
def test_an_api_key_that_no_header_can_carry_is_refused_and_not_shown(
    predict: "Predict", key: str
) -> None:
    with pytest.raises(ValueError, match="printable ASCII") as caught:
        predict("http://127.0.0.1:9", ["a"], api_key=key)
    assert "s3cr3t" not in str(caught.value)


def test_an_api_key_is_sent_and_a_missing_one_is_an_error(
    server: "Start", predict: "Predict"
) -> None:
    running = server()

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        if headers.get(b"authorization") == b"Bearer secret":
            await running.observer(scope, receive, send)
            return
        members = problem_members(ServiceError("a key is needed"), "r-1") | {"status": 401}
        start: Message = {"type": "http.response.start", "status": 401, "headers": []}
        await send(start)
        await send({"type": "http.response.body", "body": json.dumps(members).encode()})

    with serving(guarded) as url:
        assert len(predict(url, ["a"], api_key="secret")) == 1
        assert len(predict(url, ["a"], api_key="secret\n")) == 1
        with pytest.raises(Unauthorized, match="a key is needed"):
            predict(url, ["a"])
