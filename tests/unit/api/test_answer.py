import json
import math
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serve_app.api.formats import Transform, decimal, fragment, predictions
from serve_app.errors import InferenceFailed
from serve_app.scores import TextLogits

LABELS = ("NEGATIVE", "POSITIVE")
PLAIN_DECIMAL = re.compile(r"-?[0-9]+\.[0-9]+")

float32s = st.floats(width=32, allow_nan=False, allow_infinity=False)
logit_rows = st.lists(float32s, min_size=2, max_size=6).map(tuple)


def labels_for(logits: tuple[float, ...]) -> tuple[str, ...]:
    return tuple(f"LABEL_{index}" for index in range(len(logits)))


def scores_of(
    logits: tuple[float, ...], transform: Transform = "softmax", top_k: int | None = None
) -> list[tuple[str, float]]:
    items = json.loads(fragment(labels_for(logits), logits, transform, top_k))
    return [(item["label"], item["score"]) for item in items]


def test_predictions_are_these_bytes() -> None:
    texts = [TextLogits((0.0, 0.0), False), TextLogits((-200.0, 200.0), True)]
    assert predictions(LABELS, texts) == (
        b'{"predictions":['
        b'[{"label":"NEGATIVE","score":0.5},{"label":"POSITIVE","score":0.5}],'
        b'[{"label":"POSITIVE","score":1.0},{"label":"NEGATIVE","score":0.0}]]}'
    )


def test_no_texts_make_an_empty_list() -> None:
    assert predictions(LABELS, []) == b'{"predictions":[]}'


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
    items = json.loads(fragment((first, second), (1.0, 0.0), "softmax", None))
    assert [item["label"] for item in items] == [first, second]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("transform", ["softmax", "sigmoid", "none"])
def test_a_score_that_is_no_number_is_a_failure(bad: float, transform: Transform) -> None:
    with pytest.raises(InferenceFailed):
        fragment(LABELS, (0.0, bad), transform, None)


def test_a_score_too_few_is_noticed() -> None:
    with pytest.raises(ValueError, match="zip"):
        fragment(LABELS, (0.0,), "softmax", None)


def test_fragments_are_made_once() -> None:
    fragment.cache_clear()
    text = TextLogits((0.125, 0.25), False)
    predictions(LABELS, [text, text._replace(truncated=True), text])
    info = fragment.cache_info()
    assert (info.misses, info.hits) == (1, 2)
    assert info.maxsize is not None
