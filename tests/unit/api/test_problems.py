import json
import logging

import pytest
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api.middleware import unexpected_errors
from serve_app.api.problems import problem
from serve_app.errors import (
    FieldError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    ServiceError,
    problem_members,
)

SECRET = "kept-between-us"


def request_with(*headers: tuple[bytes, bytes]) -> Request:
    return Request({"type": "http", "headers": list(headers)})


def test_members_are_those_of_the_contract() -> None:
    assert problem_members(NotFound("gone"), "r-1") == {
        "type": "urn:sentiment-serve:problem:not-found",
        "title": "Not found",
        "status": 404,
        "detail": "gone",
        "request_id": "r-1",
    }


def test_invalid_requests_name_their_places() -> None:
    place: FieldError = {"loc": ["body", "text", 0], "msg": "no", "type": "string_type"}
    error = InvalidRequest("bad", [place])
    assert problem_members(error, "r-1")["errors"] == [place]


def test_every_error_has_a_type_of_its_own() -> None:
    kinds: list[type[ServiceError]] = [ServiceError, *ServiceError.__subclasses__()]
    titles = [error.title for error in kinds]
    assert len(set(titles)) == len(titles)
    assert ServiceError("It failed.").slug == "internal-error"


def test_the_answer_repeats_the_request_id_in_the_body_only() -> None:
    answer = problem(request_with((b"x-request-id", "é".encode("latin-1"))), NotFound("gone"))
    assert json.loads(bytes(answer.body))["request_id"] == "é"
    assert "x-request-id" not in answer.headers


@pytest.mark.parametrize(
    ("error", "name", "value"),
    [
        (Overloaded("full"), "retry-after", "1"),
        (Overloaded("full", wait_s=6.2), "retry-after", "7"),
        (MethodNotAllowed("GET, HEAD"), "allow", "GET, HEAD"),
    ],
)
def test_an_answer_has_the_headers_of_its_error(error: ServiceError, name: str, value: str) -> None:
    answer = problem(request_with(), error)
    assert answer.headers[name] == value
    assert answer.headers["content-type"] == "application/problem+json"


async def run(app: ASGIApp, kind: str = "http") -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": kind, "headers": [(b"x-request-id", b"r-1")]}, receive, send)
    return sent


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    raise KeyError(SECRET)


async def test_unexpected_errors_are_answered_and_logged_without_their_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    start, body = await run(unexpected_errors(failing))
    assert start["status"] == 500
    assert json.loads(body["body"])["request_id"] == "r-1"
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "r-1" in record.getMessage()
    assert "KeyError" in record.getMessage()
    assert SECRET not in caplog.text
    assert SECRET.encode() not in body["body"]


async def test_an_answer_that_has_begun_is_not_begun_again() -> None:
    async def half(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise KeyError(SECRET)

    with pytest.raises(KeyError):
        await run(unexpected_errors(half))


async def test_only_http_is_answered() -> None:
    with pytest.raises(KeyError):
        await run(unexpected_errors(failing), "lifespan")
