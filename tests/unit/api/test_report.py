import asyncio
from collections.abc import Callable

import pytest
from starlette.types import Message, Receive, Scope, Send

from serve_app.api.request_record import Observed, Report, observation
from serve_app.scores import Classification, StageTimes, TextLogits

FOUND = Classification(
    [TextLogits((0.0,), truncated=True), TextLogits((0.0,), truncated=False)],
    hits=1,
    misses=1,
    times=StageTimes(1.0, 2.0, 3.0),
)


def scope(path: str = "/predict") -> Scope:
    return {"type": "http", "path": path, "headers": [(b"x-request-id", b"mine")]}


async def receive() -> Message:
    return {"type": "http.request"}


async def send(_: Message) -> None:
    pass


async def answers(scope: Scope, receive: Receive, send: Send) -> None:
    noted = observation(scope)
    noted.texts, noted.found = 2, FOUND
    await send({"type": "http.response.start", "status": 200})


async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
    observation(scope).problem = "overloaded"
    await send({"type": "http.response.start", "status": 429})


async def reports(app: Callable[..., object], request: Scope) -> list[Report]:
    seen: list[Report] = []
    await Observed(app, ["/predict"], [seen.append])(request, receive, send)  # type: ignore[arg-type]
    return seen


async def test_an_answer_is_reported_with_its_counts_and_times() -> None:
    (report,) = await reports(answers, scope())
    assert (report.request_id, report.path) == ("mine", "/predict")
    assert (report.status, report.outcome) == (200, "ok")
    assert (report.texts, report.hits, report.misses, report.truncated) == (2, 1, 1, 1)
    assert report.times == FOUND.times
    assert report.seconds > 0


async def test_a_refusal_is_reported_with_its_reason() -> None:
    (report,) = await reports(refuses, scope())
    assert (report.status, report.outcome, report.texts) == (429, "overloaded", None)


async def test_other_paths_are_not_reported() -> None:
    assert await reports(answers, scope("/health")) == []


async def test_a_request_whose_client_leaves_is_reported_as_such() -> None:
    seen: list[Report] = []

    async def hangs(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(Observed(hangs, ["/predict"], [seen.append])(scope(), receive, send))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [(report.status, report.outcome) for report in seen] == [(499, "disconnected")]
