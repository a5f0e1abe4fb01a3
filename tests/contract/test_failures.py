import asyncio
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from ray.serve._private.http_util import RequestIdMiddleware
from starlette.types import Message, Scope

from serve_app.api.app import create_app
from serve_app.errors import (
    DeadlineExceeded,
    InferenceFailed,
    ModelUnavailable,
    Overloaded,
    ServiceError,
)

if TYPE_CHECKING:
    from tests.contract.conftest import Serve, ServiceFactory

PREDICT = "/project/predict"
SECRET = "kept-between-us"


@pytest.mark.parametrize(
    ("error", "slug", "retry_after"),
    [
        (Overloaded("full"), "overloaded", "1"),
        (InferenceFailed("broken"), "inference-failed", None),
        (ModelUnavailable("gone"), "model-unavailable", "5"),
        (DeadlineExceeded("late"), "deadline-exceeded", None),
    ],
)
@pytest.mark.parametrize("path", ["/project", "/project/predict", "/project/bulk-predict"])
async def test_errors_of_the_service_become_problems(
    serve: "Serve", path: str, error: ServiceError, slug: str, retry_after: str | None
) -> None:
    body = {"inputs" if path == "/project" else "text": ["a"]}
    answer = await serve(fails_with=error).post(path, json=body, headers={"x-request-id": "r-1"})
    assert answer.status_code == error.status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers.get("retry-after") == retry_after
    assert answer.headers.get_list("x-request-id") == ["r-1"]
    assert answer.json() == {
        "type": f"urn:sentiment-serve:problem:{slug}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "request_id": "r-1",
    }


async def test_an_unexpected_error_is_a_problem_without_its_message(
    serve: "Serve", caplog: pytest.LogCaptureFixture
) -> None:
    client = serve(fails_with=RuntimeError(f"cannot handle {SECRET}"))
    answer = await client.post(PREDICT, json={"text": [SECRET]}, headers={"x-request-id": "r-1"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers.get_list("x-request-id") == ["r-1"]
    assert answer.json()["type"] == "urn:sentiment-serve:problem:internal-error"
    assert answer.json()["request_id"] == "r-1"
    for leak in (SECRET, "RuntimeError", "Traceback", ".py"):
        assert leak not in answer.text
    [record] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    logged = record.getMessage()
    assert "r-1" in logged
    assert "RuntimeError" in logged
    assert "predict.py" in logged
    assert SECRET not in caplog.text


async def test_a_timeout_of_the_services_own_is_no_deadline(serve: "Serve") -> None:
    answer = await serve(fails_with=TimeoutError()).post(PREDICT, json={"text": ["a"]})
    assert answer.status_code == 500


async def test_a_service_that_hangs_ends_in_a_deadline(serve: "Serve") -> None:
    client = serve(hangs=True, deadline_s=0.01)
    for answer in (
        await client.post(PREDICT, json={"text": ["a"]}),
        await client.get("/project/ready"),
    ):
        assert answer.status_code == 504
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == "urn:sentiment-serve:problem:deadline-exceeded"


async def test_a_sender_that_hangs_ends_in_a_deadline(serve: "Serve") -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'{"text": ['
        await asyncio.Event().wait()

    answer = await serve(deadline_s=0.01).post(PREDICT, content=body())
    assert answer.status_code == 504
    assert answer.json()["type"] == "urn:sentiment-serve:problem:deadline-exceeded"


async def test_a_client_that_leaves_while_sending_is_no_failure(
    service_with: "ServiceFactory", caplog: pytest.LogCaptureFixture
) -> None:
    incoming: list[Message] = [
        {"type": "http.request", "body": b'{"text": [', "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return incoming.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    service = service_with()
    await RequestIdMiddleware(create_app(service))(_scope(PREDICT), receive, send)
    assert sent[0]["status"] == 499
    assert service.asked_within_s == []
    assert not caplog.records


async def test_a_failing_connection_is_not_answered_twice(service_with: "ServiceFactory") -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b'{"text": []}'}

    async def send(message: Message) -> None:
        sent.append(message)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await create_app(service_with())(_scope(PREDICT), receive, send)
    assert len(sent) == 1


async def test_websockets_are_turned_away(service_with: "ServiceFactory") -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {**_scope(PREDICT), "type": "websocket", "subprotocols": []}
    await create_app(service_with())(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


def _scope(path: str) -> Scope:
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [],
    }
    return scope
