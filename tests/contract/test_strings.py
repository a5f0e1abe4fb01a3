import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.contract.conftest import Serve

PREDICT = "/project/predict"
FIXTURES_ARE_STATELESS = [HealthCheck.function_scoped_fixture]


@pytest.fixture(scope="session")
def naughty(shared_data: Callable[[str], Path]) -> list[str]:
    listed = shared_data("naughty_strings/blns.json").read_text(encoding="utf-8")
    strings: list[str] = json.loads(listed)
    return strings


@pytest.mark.parametrize("ensure_ascii", [True, False])
async def test_naughty_strings_reach_the_model_as_they_are(
    serve: "Serve",
    naughty: list[str],
    expected_logits: Callable[[str], tuple[float, ...]],
    ensure_ascii: bool,
) -> None:
    assert len(naughty) > 500
    body = json.dumps({"text": naughty}, ensure_ascii=ensure_ascii).encode()
    answer = await serve(max_texts=len(naughty)).post(PREDICT, content=body)
    assert answer.status_code == 200
    predictions = answer.json()["predictions"]
    assert len(predictions) == len(naughty)
    for text, prediction in zip(naughty, predictions, strict=True):
        negative, positive = expected_logits(text)
        scores = {item["label"]: item["score"] for item in prediction}
        wanted = 1 / (1 + math.exp(negative - positive))
        assert scores["POSITIVE"] == pytest.approx(wanted, rel=1e-6)


AWKWARD = (
    "",
    " \t\r\n\v\f",
    "\0",
    "\x1b[2J\x07",
    "\u200b\u202e\ufeff",
    "\ufffe\uffff\U0010ffff",
    "e\u0301 \u00e9",
    "Z" + "\u0351" * 200,
    "\u0635\u0644\u0649 \u05d0\u05d1",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "\\u0000 \\ud800",
    "null",
    "NaN",
    "'; DROP TABLE texts; --",
    "<script>alert(1)</script>",
    "{{7*7}} ${jndi:ldap://x} %s %n",
    "../../etc/passwd",
    "[CLS] [SEP] [PAD] [MASK]",
    "a" * 32_768,
)


@pytest.mark.parametrize("ensure_ascii", [True, False])
async def test_awkward_texts_reach_the_model_as_they_are(
    serve: "Serve", expected_logits: Callable[[str], tuple[float, ...]], ensure_ascii: bool
) -> None:
    form = {"inputs": AWKWARD, "parameters": {"function_to_apply": "none"}}
    body = json.dumps(form, ensure_ascii=ensure_ascii).encode()
    answer = await serve().post("/project", content=body)
    assert answer.status_code == 200
    for text, prediction in zip(AWKWARD, answer.json(), strict=True):
        scores = {item["label"]: item["score"] for item in prediction}
        assert (scores["NEGATIVE"], scores["POSITIVE"]) == expected_logits(text)


async def test_naughty_strings_as_bodies_are_refused(serve: "Serve", naughty: list[str]) -> None:
    client = serve()
    for text in naughty:
        for body in (text, json.dumps(text), json.dumps({"text": text}), json.dumps({text: []})):
            answer = await client.post(PREDICT, content=body.encode())
            assert answer.status_code == 422
            assert answer.headers["content-type"] == "application/problem+json"


async def test_naughty_request_ids_are_repeated_in_problems(
    serve: "Serve", naughty: list[str]
) -> None:
    client = serve()
    for text in naughty:
        sent = text.encode().replace(b"\n", b" ").replace(b"\r", b" ")
        answer = await client.post(PREDICT, content=b"", headers=[(b"x-request-id", sent)])
        assert answer.json()["request_id"] == sent.decode("latin-1")


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
form_like = st.fixed_dictionaries(
    {},
    optional={
        "text": json_values | st.lists(st.text()),
        "inputs": json_values | st.lists(st.text()) | st.text(),
        "parameters": json_values
        | st.fixed_dictionaries(
            {}, optional={"top_k": json_values, "function_to_apply": st.text() | st.just("none")}
        ),
    },
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Draw a body of nearly the right form with a few bytes replaced."""
    body = bytearray(json.dumps(draw(form_like)).encode())
    for _ in range(draw(st.integers(0, 3))):
        body[draw(st.integers(0, len(body) - 1))] = draw(st.integers(0, 255))
    return bytes(body)


@pytest.mark.parametrize("path", ["/project", PREDICT])
@settings(suppress_health_check=FIXTURES_ARE_STATELESS)
@given(body=st.binary() | form_like.map(lambda form: json.dumps(form).encode()) | damaged())
async def test_any_bytes_are_answered_or_refused(serve: "Serve", path: str, body: bytes) -> None:
    answer = await serve(max_body_bytes=100).post(path, content=body)
    assert answer.status_code in {200, 413, 422}
    document: Any = answer.json()
    if answer.status_code == 200:
        assert answer.headers["content-type"] == "application/json"
        return
    assert answer.headers["content-type"] == "application/problem+json"
    assert document["status"] == answer.status_code
    if answer.status_code == 422:
        assert all(error["loc"][0] == "body" for error in document["errors"])
    else:
        assert len(body) > 100
