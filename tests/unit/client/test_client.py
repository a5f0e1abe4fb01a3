import asyncio
import itertools
import json
import subprocess
import sys
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
from serve_app.api.problems import problem_members
from serve_app.client import (
    AsyncSentimentClient,
    ConnectionFailed,
    DeadlinePassed,
    Info,
    InvalidRequest,
    Overloaded,
    Prediction,
    RetryPolicy,
    SentimentClient,
    ServerFailed,
    ServerTimeout,
    StatusError,
    TextRefused,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
)
from serve_app.errors import (
    DeadlineExceeded,
    InferenceFailed,
    ModelUnavailable,
    ServiceError,
)
from serve_app.errors import Overloaded as ServiceOverloaded
from serve_app.settings import GatewaySettings
from tests.contract.hash_service import MODEL, READY, HashService, logits_of
from tests.contract.server import hosted, serving

if TYPE_CHECKING:
    from tests.unit.client.conftest import Predict, Server

    Start = Callable[..., Server]

ONCE = RetryPolicy(retries=0)


def best(text: str) -> str:
    """Of equal scores, the service puts the first label first."""
    logits = logits_of(text)
    return MODEL.labels[logits.index(max(logits))]


def test_predictions_are_typed_and_in_order(server: "Start", predict: "Predict") -> None:
    texts = ["I love this!", "What a waste.", "", "naïve ☕", 'a "quoted" \\ text']
    predictions = predict(server().url, texts)
    assert [each.label for each in predictions] == [best(text) for text in texts]
    for each in predictions:
        assert each.scores[each.label] == each.score == max(each.scores.values())
        assert sum(each.scores.values()) == pytest.approx(1, abs=1e-6)
        assert not each.truncated


def test_a_truncated_text_says_so(server: "Start", predict: "Predict") -> None:
    assert [each.truncated for each in predict(server().url, ["a", "b " * 600])] == [False, True]


def test_no_texts_are_no_request(server: "Start", predict: "Predict") -> None:
    running = server()
    assert predict(running.url, []) == []
    assert running.service.requests == []


def test_many_texts_are_divided_by_the_limits_of_the_service(
    server: "Start", predict: "Predict"
) -> None:
    running = server(max_texts=16, max_body_bytes=1500)
    texts = [f"text {n} {'x' * (n % 200)}" for n in range(400)]
    predictions = predict(running.url, texts, concurrency=3)
    assert [each.label for each in predictions] == [best(text) for text in texts]
    assert sorted(itertools.chain.from_iterable(running.service.requests)) == sorted(texts)
    assert max(map(len, running.service.requests)) == 16
    assert 1 < running.service.most_at_a_time <= 3


@pytest.mark.parametrize(
    ("text", "reason"),
    [("x" * 101, "101 characters"), ("\ud800", "surrogate"), ("é" * 90, "bytes")],
)
def test_a_text_that_would_be_refused_is_named_and_not_sent(
    server: "Start", predict: "Predict", text: str, reason: str
) -> None:
    running = server(max_chars=100, max_body_bytes=150)
    with pytest.raises(TextRefused, match=reason) as caught:
        predict(running.url, ["good", text, "good"])
    assert caught.value.index == 1
    assert running.service.requests == []


def test_a_text_in_place_of_texts_is_a_mistake(server: "Start", predict: "Predict") -> None:
    with pytest.raises(TypeError, match=r"\[text\]"):
        predict(server().url, "I love this!")
    with pytest.raises(TypeError, match=r"\[text\]"):
        SentimentClient().stream("I love this!")


def test_an_overloaded_service_is_asked_again(server: "Start", predict: "Predict") -> None:
    running = server([ServiceOverloaded("full")])
    [prediction] = predict(running.url, ["a"])
    assert prediction.label == best("a")
    assert running.service.requests == [["a"], ["a"]]
    ids = [headers["x-request-id"] for headers in running.observer.headers[1:]]
    assert ids[0] == ids[1]


def test_a_service_that_starts_meanwhile_is_found(predict: "Predict") -> None:
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


def test_places_that_the_service_refuses_are_told(server: "Start", predict: "Predict") -> None:
    running = server([])
    with SentimentClient(running.url) as client:
        client.info()
        running.service.settings = running.service.settings.model_copy(update={"max_chars": 1})
        with pytest.raises(InvalidRequest) as caught:
            client.predict(["a", "bc"])
    assert caught.value.errors[0]["loc"] == ["body", "text", 1]


def test_a_service_that_is_down_is_told(predict: "Predict") -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ConnectionFailed, match=url):
        predict(url, ["a"], retry=ONCE)


def test_nobody_waits_beyond_the_deadline(server: "Start", predict: "Predict") -> None:
    with pytest.raises(DeadlinePassed):
        predict(server(hangs=True, deadline_s=1.0).url, ["a"], deadline_s=0.3)


def test_another_service_is_noticed(predict: "Predict") -> None:
    app = Starlette(routes=[Route("/{path:path}", lambda _: PlainTextResponse("hello"))])
    with serving(app) as url, pytest.raises(UnexpectedAnswer):
        predict(url, ["a"])


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "redis://localhost", ""])
def test_what_is_no_url_of_http_is_refused(predict: "Predict", url: str) -> None:
    with pytest.raises(ValueError, match="http://"):
        predict(url, ["a"])


def test_connections_are_kept(server: "Start", predict: "Predict") -> None:
    running = server()
    predict(running.url, ["a"], ["b"], ["c"])
    assert len(running.observer.headers) == 4
    assert len(running.observer.connections) == 1


def test_the_service_says_what_it_is(server: "Start", info: Callable[[str], Info]) -> None:
    found = info(server(max_texts=7).url)
    assert (found.model, found.labels, found.limits.max_texts) == (
        MODEL.model_id,
        MODEL.labels,
        7,
    )


def test_an_api_key_is_sent_and_its_want_is_told(server: "Start", predict: "Predict") -> None:
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
        with pytest.raises(Unauthorized, match="a key is needed"):
            predict(url, ["a"])


def test_a_stream_has_no_end(server: "Start") -> None:
    endless = (f"text {n}" for n in itertools.count())
    with SentimentClient(server().url) as client:
        first = list(itertools.islice(client.stream(endless), 200))
    assert [each.label for each in first] == [best(f"text {n}") for n in range(200)]


async def test_an_asynchronous_stream_has_no_end(server: "Start") -> None:
    endless = (f"text {n}" for n in itertools.count())
    running = server()
    first: list[Prediction] = []
    async with AsyncSentimentClient(running.url) as client:
        stream = client.stream(endless)
        while len(first) < 200:
            first.append(await anext(stream))
    assert [each.label for each in first] == [best(f"text {n}") for n in range(200)]


async def test_a_caller_who_leaves_ends_the_requests_under_way(server: "Start") -> None:
    running = server(hangs=True, deadline_s=1.0)
    async with AsyncSentimentClient(running.url) as client:
        before = len(asyncio.all_tasks())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.predict(map(str, range(1000)))
        assert len(asyncio.all_tasks()) == before


def test_a_client_may_be_shared_among_threads(server: "Start") -> None:
    found: dict[int, str] = {}
    with SentimentClient(server().url) as client:

        def ask(number: int) -> None:
            found[number] = client.predict([f"text {number}"])[0].label

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {number: best(f"text {number}") for number in range(16)}


def test_the_client_needs_neither_ray_nor_a_model_runtime() -> None:
    code = (
        "import sys; before = set(sys.modules); import serve_app.client;"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "httpx2" in loaded
    third_party = set(loaded) - set(sys.stdlib_module_names) - {"serve_app"}
    assert third_party <= {
        "httpx2",
        "httpcore2",
        "anyio",
        "idna",
        "truststore",
        "typing_extensions",
    }
