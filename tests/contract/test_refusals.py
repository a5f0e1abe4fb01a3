import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Serve

PREDICT = "/project/predict"
SECRET = "kept-between-us"


def check_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    [request_id] = answer.headers.get_list("x-request-id")
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    assert document["request_id"] == request_id
    assert document["type"].startswith("urn:sentiment-serve:problem:")
    assert document["title"]
    assert document["detail"]
    return document


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        (b"", ["body"]),
        (b"   ", ["body"]),
        (b"not json", ["body"]),
        (b"null", ["body"]),
        (b'"text"', ["body"]),
        (b"[]", ["body"]),
        (b'["a"]', ["body"]),
        (b"{}", ["body", "text"]),
        (b'{"text": null}', ["body", "text"]),
        (b'{"text": "a"}', ["body", "text"]),
        (b'{"text": {"0": "a"}}', ["body", "text"]),
        (b'{"text": [1]}', ["body", "text", 0]),
        (b'{"text": ["a", null]}', ["body", "text", 1]),
        (b'{"text": ["a", ["b"]]}', ["body", "text", 1]),
        (b'{"text": ["a", true]}', ["body", "text", 1]),
        (b'{"text": [NaN]}', ["body", "text", 0]),
        (b'{"text": ["a"], "extra": 1}', ["body", "extra"]),
        (b'{"text": ["a"], "": 1}', ["body", ""]),
        (b'{"text": ["a"], "text": [1]}', ["body", "text", 0]),
        (b'{"text": ["a"],}', ["body"]),
        (b'{"text": ["a"]} x', ["body"]),
        (b"{'text': ['a']}", ["body"]),
        (b'{"text": ["\\ud800"]}', ["body"]),
        (b'{"text": ["\\udc00"]}', ["body"]),
        (b'{"text": ["\\ud800\\ud800"]}', ["body"]),
        (b'{"text": ["\xed\xa0\x80"]}', ["body"]),
        (b'{"text": ["\xff"]}', ["body"]),
        (b'{"text": ["a\nb"]}', ["body"]),
        (b'\xef\xbb\xbf{"text": ["a"]}', ["body"]),
        ('{"text": ["a"]}'.encode("utf-16"), ["body"]),
        (b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", ["body"]),
        (b'{"text": ["a"], "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", ["body"]),
        (b'{"text": [' + b"9" * 100_000 + b"]}", ["body"]),
        (b'{"text": [1e999]}', ["body", "text", 0]),
    ],
)
async def test_a_body_of_another_form_is_refused_with_its_place(
    serve: "Serve", body: bytes, loc: list[str | int]
) -> None:
    document = check_problem(await serve().post(PREDICT, content=body), 422)
    assert [error["loc"] for error in document["errors"]] == [loc]
    assert all(set(error) == {"loc", "msg", "type"} for error in document["errors"])


async def test_surrogate_pairs_and_the_last_of_equal_keys_are_accepted(serve: "Serve") -> None:
    body = b'{"text": [1], "text": ["\\ud83e\\udd84", "\\u0000"]}'
    answer = await serve().post(PREDICT, content=body)
    assert answer.status_code == 200
    assert len(answer.json()["predictions"]) == 2


async def test_a_hundred_thousand_bad_items_have_one_error(serve: "Serve") -> None:
    answer = await serve().post(PREDICT, json={"text": [1] * 100_000})
    [error] = check_problem(answer, 422)["errors"]
    assert error["loc"] == ["body", "text", 0]


async def test_a_hundred_thousand_unknown_fields_have_a_short_answer(serve: "Serve") -> None:
    answer = await serve().post(PREDICT, json={str(i): i for i in range(100_000)})
    [error] = check_problem(answer, 422)["errors"]
    assert error["loc"] == ["body"]
    assert len(answer.content) < 1000


async def test_every_unknown_field_is_named_as_long_as_they_are_few(serve: "Serve") -> None:
    answer = await serve().post(PREDICT, json={"text": [], "a": 1, "b": 2})
    errors = check_problem(answer, 422)["errors"]
    assert [error["loc"] for error in errors] == [["body", "a"], ["body", "b"]]


async def test_the_name_of_an_unknown_field_is_shortened(serve: "Serve") -> None:
    answer = await serve().post(PREDICT, json={"text": [], "k" * 1_000_000: 1})
    [error] = check_problem(answer, 422)["errors"]
    assert error["loc"] == ["body", "k" * 64]


@pytest.mark.parametrize(
    "body",
    [
        {"text": SECRET},
        {"text": [{SECRET: SECRET}]},
        {"text": ["a"], "extra": SECRET},
        {"text": [SECRET], "extra": [SECRET]},
        {"text": [SECRET * 100]},
        {"text": [SECRET] * 9},
        [SECRET],
    ],
)
async def test_no_refusal_repeats_what_the_client_wrote(serve: "Serve", body: Any) -> None:
    answer = await serve(max_chars=100, max_texts=8).post(PREDICT, json=body)
    check_problem(answer, 422)
    assert SECRET not in answer.text


async def test_the_limits_themselves_are_accepted(serve: "Serve") -> None:
    client = serve(max_texts=2, max_chars=3)
    answer = await client.post(PREDICT, json={"text": ["abc", "🦄🦄🦄"]})
    assert answer.status_code == 200


async def test_too_many_texts_are_refused(serve: "Serve") -> None:
    answer = await serve(max_texts=2).post(PREDICT, json={"text": ["a", "a", "a"]})
    [error] = check_problem(answer, 422)["errors"]
    assert (error["loc"], error["type"]) == (["body", "text"], "too_long")


async def test_a_text_that_is_too_long_is_refused(serve: "Serve") -> None:
    answer = await serve(max_chars=3).post(PREDICT, json={"text": ["abc", "abcd"]})
    [error] = check_problem(answer, 422)["errors"]
    assert (error["loc"], error["type"]) == (["body", "text", 1], "string_too_long")


@pytest.mark.parametrize("encoding", ["gzip", "br", "GZIP", "identity, gzip"])
async def test_compressed_bodies_are_refused(serve: "Serve", encoding: str) -> None:
    answer = await serve().post(
        PREDICT, content=b'{"text": []}', headers={"content-encoding": encoding}
    )
    document = check_problem(answer, 422)
    assert "Content-Encoding" in document["detail"]
    assert document["errors"][0]["loc"] == ["body"]


class Sender:
    """A body in parts that counts how many of them were taken."""

    def __init__(self, parts: int, size: int) -> None:
        self.taken = 0
        self._parts = parts
        self._part = b" " * size

    async def __aiter__(self) -> Any:
        for _ in range(self._parts):
            self.taken += 1
            yield self._part


async def test_a_declared_size_over_the_limit_is_refused_unread(serve: "Serve") -> None:
    sender = Sender(10, 10)
    answer = await serve(max_body_bytes=99).post(
        PREDICT, content=sender, headers={"content-length": "100"}
    )
    check_problem(answer, 413)
    assert sender.taken == 0


async def test_a_chunked_body_is_read_no_further_than_the_limit(serve: "Serve") -> None:
    sender = Sender(1000, 10)
    answer = await serve(max_body_bytes=99).post(PREDICT, content=sender)
    check_problem(answer, 413)
    assert sender.taken == 10


async def test_a_body_of_exactly_the_limit_is_accepted(serve: "Serve") -> None:
    body = json.dumps({"text": ["a"]}).encode()
    client = serve(max_body_bytes=len(body))
    assert (await client.post(PREDICT, content=body)).status_code == 200
    check_problem(await client.post(PREDICT, content=body + b" "), 413)


@pytest.mark.parametrize("length", ["nonsense", "-1", "", "9" * 5000, "1"])
async def test_a_wrong_content_length_is_no_failure(serve: "Serve", length: str) -> None:
    sender = Sender(3, 10)
    answer = await serve(max_body_bytes=20).post(
        PREDICT, content=sender, headers={"content-length": length}
    )
    check_problem(answer, 413)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/predict",
        "/project/",
        "/project/predict/",
        "/project/nothing",
        "/docs/oauth2-redirect",
        "/docs",
        "/redoc",
        "/openapi.json",
        "/project/%ff%00",
        "//project/predict",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_other_paths_are_not_found(serve: "Serve", method: str, path: str) -> None:
    check_problem(await serve().request(method, f"http://service{path}"), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/project", {"POST"}),
        ("GET", "/project/predict", {"POST"}),
        ("PUT", "/project/bulk-predict", {"POST"}),
        ("OPTIONS", "/project/predict", {"POST"}),
        ("BREW", "/project/predict", {"POST"}),
        ("POST", "/project/health", {"GET", "HEAD"}),
        ("DELETE", "/project/ready", {"GET", "HEAD"}),
        ("POST", "/project/info", {"GET", "HEAD"}),
        ("POST", "/project/docs", {"GET", "HEAD"}),
        ("POST", "/project/openapi.json", {"GET", "HEAD"}),
    ],
)
async def test_other_methods_are_not_allowed(
    serve: "Serve", method: str, path: str, allowed: set[str]
) -> None:
    answer = await serve().request(method, path)
    check_problem(answer, 405)
    assert set(answer.headers["allow"].split(", ")) == allowed
