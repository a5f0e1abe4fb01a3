from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi.openapi.models import OpenAPI
from jsonschema import Draft202012Validator

from serve_app.api.app import STATES
from serve_app.api.formats import PREDICTIONS
from serve_app.api.openapi import document
from serve_app.api_keys import hash_of
from serve_app.errors import DeadlineExceeded, InferenceFailed, ModelUnavailable, Overloaded
from serve_app.gateway.readiness import Readiness

if TYPE_CHECKING:
    from tests.contract.conftest import Serve

DOCUMENT = document()
HTTP_METHODS = ("get", "post")


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method in HTTP_METHODS:
            if method in item:
                yield method, path, item[method]


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return node
    target: Any = DOCUMENT
    for part in node["$ref"].removeprefix("#/").split("/"):
        target = target[part]
    return resolved(target)


def check(value: Any, schema: dict[str, Any]) -> None:
    whole = {**schema, "components": DOCUMENT["components"]}
    Draft202012Validator(whole).validate(value)


def documented_errors() -> Iterator[tuple[str, str, int]]:
    for method, path, operation in operations():
        for status in operation["responses"]:
            if status != "200":
                yield method, path, int(status)


def examples(content: dict[str, Any]) -> Iterator[Any]:
    if "example" in content:
        yield content["example"]
    for example in content.get("examples", {}).values():
        yield example["value"]


async def provoke(serve: "Serve", method: str, path: str, status: int) -> httpx.Response:
    """Send a request that the document says is answered with this status."""
    service: dict[int, dict[str, Any]] = {
        401: {"api_keys": [hash_of(b"another")]},
        413: {"max_body_bytes": 3},
        429: {"fails_with": Overloaded("full")},
        500: {"fails_with": RuntimeError()},
        503: {"fails_with": ModelUnavailable("gone")},
        504: {"hangs": True, "deadline_s": 0.01},
    }
    if (path, status) == ("/project/ready", 503):
        service[503] = {"state": Readiness("unavailable", "ok")}
    form = {"inputs" if path == "/project" else "text": 1 if status == 422 else ["a"]}
    body = form if method == "post" else None
    headers = {"origin": "https://page.example"} if status == 403 else {}
    return await serve(**service.get(status, {})).request(method, path, json=body, headers=headers)


async def test_the_document_is_served_and_is_openapi(serve: "Serve") -> None:
    answer = await serve().get("/project/openapi.json")
    assert answer.status_code == 200
    assert answer.json()["openapi"] == "3.1.0"
    assert answer.json()["paths"] == DOCUMENT["paths"]
    OpenAPI.model_validate(answer.json())


def test_every_route_is_documented_and_nothing_else() -> None:
    routed = {("post", path) for path in PREDICTIONS} | {("get", path) for path in STATES}
    assert {(method, path) for method, path, _ in operations()} == routed


def test_operation_ids_are_distinct() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(names)) == len(names)


def test_every_reference_leads_somewhere_and_every_component_is_of_use() -> None:
    used: set[str] = set()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                resolved(node)
                used.add(node["$ref"])
            for names in node.get("security", []):
                used.update(f"#/components/securitySchemes/{name}" for name in names)
            for value in node.values():
                walk(value)
        if isinstance(node, list):
            for value in node:
                walk(value)

    walk(DOCUMENT)
    named = {
        f"#/components/{kind}/{name}"
        for kind, components in DOCUMENT["components"].items()
        for name in components
    }
    general = {"Problem404", "Problem405", "Problem421"}
    assert named - used == {f"#/components/responses/{name}" for name in general}


def test_examples_keep_to_their_schemas() -> None:
    checked = 0
    responses = [
        response for _, _, operation in operations() for response in operation["responses"].values()
    ]
    bodies = [op["requestBody"] for _, _, op in operations() if "requestBody" in op]
    for holder in [*responses, *bodies, *DOCUMENT["components"]["responses"].values()]:
        for content in resolved(holder)["content"].values():
            Draft202012Validator.check_schema(content["schema"])
            values = list(examples(content))
            assert values
            for value in values:
                check(value, content["schema"])
                checked += 1
    assert checked > 30


@pytest.mark.parametrize(("method", "path"), [(method, path) for method, path, _ in operations()])
async def test_success_is_as_documented(serve: "Serve", method: str, path: str) -> None:
    answer = await provoke(serve, method, path, 200)
    operation = DOCUMENT["paths"][path][method]
    response = operation["responses"]["200"]
    assert answer.status_code == 200
    check(answer.json(), response["content"][answer.headers["content-type"]]["schema"])
    for name in set(response["headers"]) - {"X-Truncated"}:
        assert name in answer.headers


@pytest.mark.parametrize(("method", "path", "status"), list(documented_errors()))
async def test_every_documented_error_can_be_had_and_is_as_documented(
    serve: "Serve", method: str, path: str, status: int
) -> None:
    answer = await provoke(serve, method, path, status)
    response = resolved(DOCUMENT["paths"][path][method]["responses"][str(status)])
    assert answer.status_code == status
    check(answer.json(), response["content"][answer.headers["content-type"]]["schema"])
    for name in response["headers"]:
        assert name in answer.headers


@pytest.mark.parametrize(
    ("path", "name"), [("/nothing", "Problem404"), ("/project/predict", "Problem405")]
)
async def test_general_errors_are_as_documented(serve: "Serve", path: str, name: str) -> None:
    answer = await serve().get(path)
    response = DOCUMENT["components"]["responses"][name]
    [example] = examples(response["content"]["application/problem+json"])
    check(answer.json(), response["content"][answer.headers["content-type"]]["schema"])
    assert example["status"] == answer.status_code
    assert example["type"] == answer.json()["type"]
    for header in response["headers"]:
        assert header in answer.headers


@pytest.mark.parametrize(
    "error",
    [
        Overloaded("full"),
        InferenceFailed("broken"),
        ModelUnavailable("gone"),
        DeadlineExceeded("late"),
    ],
)
@pytest.mark.parametrize("path", ["/project", "/project/predict", "/project/bulk-predict"])
async def test_every_error_of_the_service_is_documented_with_its_type(
    serve: "Serve", path: str, error: Exception
) -> None:
    body = {"inputs" if path == "/project" else "text": ["a"]}
    answer = await serve(fails_with=error).post(path, json=body)
    responses = DOCUMENT["paths"][path]["post"]["responses"]
    response = resolved(responses[str(answer.status_code)])
    content = response["content"][answer.headers["content-type"]]
    types = [example["type"] for example in examples(content)]
    assert answer.json()["type"] in types
    assert content["schema"]["properties"]["type"] == {"enum": types}


@pytest.mark.parametrize(
    ("path", "body", "accepted"),
    [
        ("/project/predict", {"text": ["a"]}, True),
        ("/project/predict", {"text": []}, True),
        ("/project/predict", {"text": "a"}, False),
        ("/project/predict", {"text": [1]}, False),
        ("/project/predict", {"texts": ["a"]}, False),
        ("/project/predict", {"text": ["a"], "x": 1}, False),
        ("/project", {"inputs": "a"}, True),
        ("/project", {"inputs": ["a"], "parameters": {"top_k": None}}, True),
        ("/project", {"inputs": "a", "parameters": None}, True),
        ("/project", {"inputs": 1}, False),
        ("/project", {"inputs": "a", "parameters": {"top_k": 1.0}}, True),
        ("/project", {"inputs": "a", "parameters": {"top_k": 1.5}}, False),
        ("/project", {"inputs": "a", "parameters": {"top_k": 0}}, False),
        ("/project", {"inputs": "a", "parameters": {"function_to_apply": "x"}}, False),
        ("/project", {"inputs": "a", "options": {}}, True),
        ("/project", {"inputs": "a", "options": {"use_gpu": True}}, False),
        ("/project", {"inputs": "a", "parameters": {"truncation": True}}, True),
        ("/project", {"inputs": "a", "parameters": {"truncation": False}}, False),
        ("/project", {"inputs": {"text": "a"}}, True),
        ("/project", {"inputs": [{"text": "a", "text_pair": None}, "b"]}, True),
        ("/project", {"inputs": [{"text": "a", "text_pair": "b"}]}, False),
        ("/project", {"inputs": [["a", "b"]]}, False),
    ],
)
async def test_the_request_schema_and_the_parser_agree(
    serve: "Serve", path: str, body: Any, accepted: bool
) -> None:
    [content] = DOCUMENT["paths"][path]["post"]["requestBody"]["content"].values()
    whole = {**content["schema"], "components": DOCUMENT["components"]}
    assert Draft202012Validator(whole).is_valid(body) is accepted
    assert ((await serve().post(path, json=body)).status_code == 200) is accepted
