import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

import pytest

from serve_app.gateway.readiness import Readiness

if TYPE_CHECKING:
    from tests.contract.conftest import Serve


async def test_health_asks_nobody(serve: "Serve") -> None:
    answer = await serve(fails_with=RuntimeError()).get("/project/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "healthy"})
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.headers.get_list("x-request-id")) == 1


@pytest.mark.parametrize("cache", ["ok", "degraded", "off"])
async def test_ready_names_the_parts(
    serve: "Serve", cache: Literal["ok", "degraded", "off"]
) -> None:
    answer = await serve(state=Readiness("ok", cache)).get("/project/ready")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "model": "ok", "cache": cache}


@pytest.mark.parametrize("model", ["ok", "unavailable"])
async def test_ready_says_why_the_cache_is_degraded(
    serve: "Serve", model: Literal["ok", "unavailable"]
) -> None:
    state = Readiness(model, "degraded", "no answer in time")
    answer = await serve(state=state).get("/project/ready")
    assert answer.json()["cache_problem"] == "no answer in time"


async def test_unready_is_a_problem_that_names_the_parts(serve: "Serve") -> None:
    state = Readiness("unavailable", "degraded")
    answer = await serve(state=state).get("/project/ready", headers={"x-request-id": "r-1"})
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "5"
    assert answer.json() == {
        "type": "urn:sentiment-serve:problem:model-unavailable",
        "title": "Model unavailable",
        "status": 503,
        "detail": "No model replica answers at the moment.",
        "request_id": "r-1",
        "model": "unavailable",
        "cache": "degraded",
    }


async def test_info_says_what_answers_within_which_limits(serve: "Serve") -> None:
    answer = await serve(max_texts=7, max_body_bytes=1000, deadline_s=2.5).get("/project/info")
    assert answer.status_code == 200
    assert answer.json() == {
        "model": "acme/tiny-sst2",
        "revision": "0123456789ab",
        "digest": "0123456789abcdef",
        "engine": "onnx-int8",
        "labels": ["NEGATIVE", "POSITIVE"],
        "limits": {
            "max_texts": 7,
            "max_chars": 32768,
            "max_body_bytes": 1000,
            "max_tokens": 512,
            "deadline_s": 2.5,
        },
        "versions": {
            "python": platform.python_version(),
            "sentiment-serve": version("sentiment-serve"),
            "ray": version("ray"),
            "onnxruntime": version("onnxruntime"),
        },
    }


@pytest.mark.parametrize("path", ["/project/health", "/project/ready", "/project/info"])
async def test_head_is_answered_like_get(serve: "Serve", path: str) -> None:
    assert (await serve().head(path)).status_code == 200
