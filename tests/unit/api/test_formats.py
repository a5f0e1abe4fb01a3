import json
import math
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serve_app.api.formats import (
    HUGGING_FACE,
    MAX_ERRORS,
    MAX_KEY_CHARS,
    PREDICT,
    check_limits,
    decimal,
    label_scores,
    prediction_headers,
)
from serve_app.api.schemas import HuggingFaceRequest, PredictRequest, Transform
from serve_app.errors import FieldError, InferenceFailed, InvalidRequest
from serve_app.model.store import ModelIdentity
from serve_app.scores import Classification, StageTimes, TextLogits
from serve_app.settings import GatewaySettings

LABELS = ("NEGATIVE", "POSITIVE")
PLAIN_DECIMAL = re.compile(r"-?[0-9]+\.[0-9]+")

MODEL = ModelIdentity(
    path=Path("models/tiny"),
    model_id="acme/tiny",
    revision="0123456789ab",
    digest="0123456789abcdef",
    labels=LABELS,
    max_tokens=512,
    pad_id=0,
)

float32s = st.floats(width=32, allow_nan=False, allow_infinity=False)
logit_rows = st.lists(float32s, min_size=2, max_size=6).map(tuple)


def labels_for(logits: tuple[float, ...]) -> tuple[str, ...]:
    return tuple(f"LABEL_{index}" for index in range(len(logits)))


def scores_of(
    logits: tuple[float, ...], transform: Transform = "softmax", top_k: int | None = None
) -> list[tuple[str, float]]:
    items = json.loads(label_scores(labels_for(logits), logits, transform, top_k))
    return [(item["label"], item["score"]) for item in items]


def rendered(texts: list[TextLogits]) -> bytes:
    asked = PredictRequest(text=[""] * len(texts))
    return PREDICT.render(asked, MODEL, texts)


def test_predictions_are_these_bytes() -> None:
    texts = [TextLogits((0.0, 0.0), False), TextLogits((-200.0, 200.0), True)]
    assert rendered(texts) == (
        b'{"predictions":['
        b'[{"label":"NEGATIVE","score":0.5},{"label":"POSITIVE","score":0.5}],'
        b'[{"label":"POSITIVE","score":1.0},{"label":"NEGATIVE","score":0.0}]]}'
    )


def test_no_texts_make_an_empty_list() -> None:
    assert rendered([]) == b'{"predictions":[]}'


@given(logit_rows)
@example((3.4e38, -3.4e38))
@example((1e-45, 0.0))
def test_softmax_scores_are_sorted_and_sum_to_one(logits: tuple[float, ...]) -> None:
    ranked = scores_of(logits)
    values = [score for _, score in ranked]
    assert sorted(label for label, _ in ranked) == sorted(labels_for(logits))
    assert values == sorted(values, reverse=True)
    assert all(0 <= value <= 1 for value in values)
    assert sum(values) == pytest.approx(1, abs=len(values) * 2**-24)


@given(logit_rows)
def test_equal_scores_keep_the_order_of_the_labels(logits: tuple[float, ...]) -> None:
    ranked = scores_of(logits)
    for (first, high), (second, low) in pairwise(ranked):
        assert high > low or first < second


def test_softmax_is_computed_in_float64_and_rounded_once() -> None:
    logits = tuple(float(np.float32(value)) for value in (-2.7, 1.3, 0.4))
    exact = np.exp(np.array(logits, np.float64))
    exact /= exact.sum()
    assert dict(scores_of(logits)) == {
        label: float(decimal(np.float32(value)))
        for label, value in zip(labels_for(logits), exact, strict=True)
    }


@given(logit_rows)
@example((0.0, -0.0))
@example((1000.0, -1000.0))
@example((3.4e38, -3.4e38))
def test_sigmoid_looks_at_each_logit_alone(logits: tuple[float, ...]) -> None:
    scores = dict(scores_of(logits, "sigmoid"))
    for label, logit in zip(labels_for(logits), logits, strict=True):
        wanted = 0.5 * (1 + math.tanh(logit / 2))
        assert scores[label] == pytest.approx(wanted, rel=1e-6, abs=1e-12)


@given(logit_rows)
@example((-4.25, 1e30))
def test_no_transform_returns_the_logits(logits: tuple[float, ...]) -> None:
    scores = dict(scores_of(logits, "none"))
    for label, logit in zip(labels_for(logits), logits, strict=True):
        assert np.float32(scores[label]) == np.float32(logit)


@given(float32s)
@example(1.0)
@example(0.0)
@example(1.401298464324817e-45)
@example(1e-7)
@example(3.4028234663852886e38)
def test_decimals_are_plain_and_read_back_as_the_same_float32(value: float) -> None:
    written = decimal(np.float32(value))
    assert PLAIN_DECIMAL.fullmatch(written)
    assert np.float32(written) == np.float32(value)


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.0, "0.0"), (1.0, "1.0"), (0.71, "0.71"), (1e-7, "0.0000001"), (-2.5, "-2.5")],
)
def test_decimals_are_the_shortest(value: float, written: str) -> None:
    assert decimal(np.float32(value)) == written


@pytest.mark.parametrize(("top_k", "count"), [(None, 3), (1, 1), (2, 2), (3, 3), (99, 3)])
def test_top_k_keeps_the_best(top_k: int | None, count: int) -> None:
    ranked = scores_of((0.0, 2.0, 1.0), top_k=top_k)
    assert [label for label, _ in ranked] == ["LABEL_1", "LABEL_2", "LABEL_0"][:count]


@given(st.text(), st.text())
def test_label_names_are_escaped(first: str, second: str) -> None:
    items = json.loads(label_scores((first, second), (1.0, 0.0), "softmax", None))
    assert [item["label"] for item in items] == [first, second]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("transform", ["softmax", "sigmoid", "none"])
def test_a_score_that_is_no_number_is_a_failure(bad: float, transform: Transform) -> None:
    with pytest.raises(InferenceFailed):
        label_scores(LABELS, (0.0, bad), transform, None)


def test_a_score_too_few_is_noticed() -> None:
    with pytest.raises(ValueError, match="zip"):
        label_scores(LABELS, (0.0,), "softmax", None)


def test_fragments_are_made_once() -> None:
    label_scores.cache_clear()
    text = TextLogits((0.125, 0.25), False)
    rendered([text, text._replace(truncated=True), text])
    info = label_scores.cache_info()
    assert (info.misses, info.hits) == (1, 2)
    assert info.maxsize is not None


def found(*truncated: bool) -> Classification:
    return Classification(
        logits=[TextLogits((0.0, 0.0), each) for each in truncated],
        hits=3,
        misses=4,
        times=StageTimes(cache=0.1234, queue=0, inference=1e-9),
    )


def test_headers_are_those_of_the_contract() -> None:
    assert prediction_headers(MODEL, found(False, True, False, True), 12.3456) == {
        "X-Model-Id": "acme/tiny",
        "X-Model-Revision": "0123456789ab",
        "X-Cache-Hits": "3",
        "X-Cache-Misses": "4",
        "X-Truncated": "1,3",
        "Server-Timing": "cache;dur=0.123, queue;dur=0.000, inference;dur=0.000, total;dur=12.346",
    }


def test_truncation_is_only_mentioned_where_it_happened() -> None:
    assert "X-Truncated" not in prediction_headers(MODEL, found(False), 1.0)
    assert "X-Truncated" not in prediction_headers(MODEL, found(), 1.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a/b-c_d.e@f:g", "a/b-c_d.e@f:g"),
        ("mein modell", "mein%20modell"),
        ("模型", "%E6%A8%A1%E5%9E%8B"),
        ("a\r\nb", "a%0D%0Ab"),
        ("100%", "100%25"),
    ],
)
def test_any_model_name_makes_a_header(name: str, value: str) -> None:
    headers = prediction_headers(MODEL._replace(model_id=name), found(), 1.0)
    assert headers["X-Model-Id"] == value


SETTINGS = GatewaySettings()


def errors_of(body: Any) -> list[FieldError]:
    with pytest.raises(InvalidRequest) as caught:
        PREDICT.parse(json.dumps(body).encode(), SETTINGS)
    return caught.value.errors


@given(st.lists(st.text()))
def test_texts_arrive_as_they_are(texts: list[str]) -> None:
    for ensure_ascii in (True, False):
        body = json.dumps({"text": texts}, ensure_ascii=ensure_ascii).encode()
        assert PREDICT.parse(body, SETTINGS).texts == texts


@given(st.text())
def test_a_text_alone_is_a_list_of_one(text: str) -> None:
    asked = HUGGING_FACE.parse(json.dumps({"inputs": text}).encode(), SETTINGS)
    assert asked.texts == [text]


def test_bytes_in_a_bytearray_are_parsed_too() -> None:
    assert PREDICT.parse(bytearray(b'{"text":["a"]}'), SETTINGS).texts == ["a"]


def test_the_name_in_python_is_not_the_name_in_json() -> None:
    assert errors_of({"texts": ["a"]})[0]["loc"] == ["body", "text"]


def test_the_first_bad_item_is_the_only_one_named() -> None:
    assert errors_of({"text": ["a", 1, 2, 3]}) == [
        {"loc": ["body", "text", 1], "msg": "Input should be a valid string", "type": "string_type"}
    ]


def test_broken_json_is_named_by_line_and_column() -> None:
    with pytest.raises(InvalidRequest) as caught:
        PREDICT.parse(b'{"text": [', SETTINGS)
    [error] = caught.value.errors
    assert error["loc"] == ["body"]
    assert "line 1 column 10" in error["msg"]


def test_unknown_fields_are_all_named_up_to_a_number() -> None:
    few = {str(index): 0 for index in range(MAX_ERRORS)}
    assert len(errors_of({"text": [], **few})) == MAX_ERRORS
    [error] = errors_of({"text": [], **few, "more": 0})
    assert (error["loc"], error["type"]) == (["body"], "too_many_errors")


def test_long_names_are_shortened() -> None:
    [error] = errors_of({"text": [], "k" * 1000: 0})
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
