import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.api.formats import MAX_ERRORS, MAX_KEY_CHARS, HuggingFaceRequest, check_limits, parse
from serve_app.api.schemas import PredictRequest, TextsRequest
from serve_app.errors import FieldError, InvalidRequest
from serve_app.settings import GatewaySettings


def errors_of(schema: type[TextsRequest], body: Any) -> list[FieldError]:
    with pytest.raises(InvalidRequest) as caught:
        parse(schema, json.dumps(body).encode())
    return caught.value.errors


@given(st.lists(st.text()))
def test_texts_arrive_as_they_are(texts: list[str]) -> None:
    for ensure_ascii in (True, False):
        body = json.dumps({"text": texts}, ensure_ascii=ensure_ascii).encode()
        assert parse(PredictRequest, body).texts == texts


@given(st.text())
def test_a_text_alone_is_a_list_of_one(text: str) -> None:
    asked = parse(HuggingFaceRequest, json.dumps({"inputs": text}).encode())
    assert asked.texts == [text]


def test_bytes_in_a_bytearray_are_parsed_too() -> None:
    assert parse(PredictRequest, bytearray(b'{"text":["a"]}')).texts == ["a"]


def test_the_name_in_python_is_not_the_name_in_json() -> None:
    assert errors_of(PredictRequest, {"texts": ["a"]})[0]["loc"] == ["body", "text"]


def test_the_first_bad_item_is_the_only_one_named() -> None:
    assert errors_of(PredictRequest, {"text": ["a", 1, 2, 3]}) == [
        {"loc": ["body", "text", 1], "msg": "Input should be a valid string", "type": "string_type"}
    ]


def test_broken_json_is_named_by_line_and_column() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(PredictRequest, b'{"text": [')
    [error] = caught.value.errors
    assert error["loc"] == ["body"]
    assert "line 1 column 10" in error["msg"]


def test_unknown_fields_are_all_named_up_to_a_number() -> None:
    few = {str(index): 0 for index in range(MAX_ERRORS)}
    assert len(errors_of(PredictRequest, {"text": [], **few})) == MAX_ERRORS
    [error] = errors_of(PredictRequest, {"text": [], **few, "more": 0})
    assert (error["loc"], error["type"]) == (["body"], "too_many_errors")


def test_long_names_are_shortened() -> None:
    [error] = errors_of(PredictRequest, {"text": [], "k" * 1000: 0})
    assert error["loc"] == ["body", "k" * MAX_KEY_CHARS]


def test_the_limits_are_inclusive() -> None:
    settings = GatewaySettings(max_texts=2, max_chars=3)
    check_limits(PredictRequest(text=["abc", "🦄🦄🦄"]), settings)


@pytest.mark.parametrize(
    ("texts", "loc"),
    [(["a"] * 3, ["body", "text"]), (["abc", "abcd"], ["body", "text", 1])],
)
def test_beyond_the_limits_the_place_is_named(texts: list[str], loc: list[str | int]) -> None:
    settings = GatewaySettings(max_texts=2, max_chars=3)
    with pytest.raises(InvalidRequest) as caught:
        check_limits(PredictRequest(text=texts), settings)
    [error] = caught.value.errors
    assert error["loc"] == loc


def test_the_place_has_the_name_that_the_client_used() -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_limits(HuggingFaceRequest(inputs=["a", "b"]), GatewaySettings(max_texts=1))
    assert caught.value.errors[0]["loc"] == ["body", "inputs"]
