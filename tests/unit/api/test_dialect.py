from pathlib import Path

import pytest

from serve_app.api.formats import prediction_headers
from serve_app.model.store import ModelIdentity
from serve_app.scores import Classification, StageTimes, TextLogits

MODEL = ModelIdentity(
    path=Path("models/tiny"),
    model_id="acme/tiny",
    revision="0123456789ab",
    digest="0123456789abcdef",
    labels=("NEGATIVE", "POSITIVE"),
    max_tokens=512,
    pad_id=0,
)


def found(*truncated: bool) -> Classification:
    return Classification(
        texts=[TextLogits((0.0, 0.0), each) for each in truncated],
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
