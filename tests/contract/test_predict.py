import json
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Serve, ServiceFactory
    from tests.contract.hash_service import HashService

PREDICT = "/project/predict"
PLAIN_DECIMAL = re.compile(r"[0-9]+\.[0-9]+")


@pytest.fixture(params=[PREDICT, "/project/bulk-predict"])
def path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def scores(prediction: list[dict[str, Any]]) -> dict[str, float]:
    return {item["label"]: item["score"] for item in prediction}


async def test_every_text_is_answered_in_order(
    serve: "Serve", path: str, expected_logits: Callable[[str], tuple[float, ...]]
) -> None:
    texts = ["example 1", "", "   ", "example 2", "example 1", "\x00", "🦄"]
    answer = await serve().post(path, json={"text": texts})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    predictions = answer.json()["predictions"]
    assert list(answer.json()) == ["predictions"]
    assert len(predictions) == len(texts)
    for text, prediction in zip(texts, predictions, strict=True):
        negative, positive = expected_logits(text)
        wanted = 1 / (1 + math.exp(negative - positive))
        assert scores(prediction)["POSITIVE"] == pytest.approx(wanted, rel=1e-6)


async def test_each_inner_list_has_every_label_sorted_with_exact_keys(
    serve: "Serve", path: str
) -> None:
    answer = await serve().post(path, json={"text": [f"text {i}" for i in range(100)]})
    for prediction in answer.json()["predictions"]:
        assert [list(item) for item in prediction] == [["label", "score"]] * 2
        assert {item["label"] for item in prediction} == {"NEGATIVE", "POSITIVE"}
        values = [item["score"] for item in prediction]
        assert values == sorted(values, reverse=True)
        assert sum(values) == pytest.approx(1, abs=1e-6)


async def test_scores_are_plain_decimals_of_float32_values(serve: "Serve", path: str) -> None:
    answer = await serve().post(path, json={"text": [f"text {i}" for i in range(100)]})
    written = re.findall(r'"score":([^},]+)', answer.text)
    assert len(written) == 200
    for score in written:
        assert PLAIN_DECIMAL.fullmatch(score)
        assert float(np.float32(score)) == pytest.approx(float(score), rel=1e-7)
        assert np.format_float_positional(np.float32(score), trim="0") == score


async def test_no_texts_are_answered_with_no_predictions(serve: "Serve", path: str) -> None:
    answer = await serve().post(path, json={"text": []})
    assert (answer.status_code, answer.json()) == (200, {"predictions": []})
    assert answer.headers["x-cache-misses"] == "0"


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "nonsense;;"]
)
async def test_content_type_does_not_matter(
    serve: "Serve", path: str, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    answer = await serve().post(path, content=b'{"text": ["a"]}', headers=headers)
    assert answer.status_code == 200
    assert len(answer.json()["predictions"]) == 1


async def test_query_strings_and_identity_encoding_do_not_matter(serve: "Serve") -> None:
    answer = await serve().post(
        f"{PREDICT}?a=1", json={"text": ["a"]}, headers={"content-encoding": "identity"}
    )
    assert answer.status_code == 200


async def test_headers_say_where_the_prediction_came_from(serve: "Serve", path: str) -> None:
    client = serve()
    first = await client.post(path, json={"text": ["a", "b", "a"]})
    second = await client.post(path, json={"text": ["a", "b", "c"]})
    assert first.headers["x-model-id"] == "acme/tiny-sst2"
    assert first.headers["x-model-revision"] == "0123456789ab"
    assert (first.headers["x-cache-hits"], first.headers["x-cache-misses"]) == ("0", "3")
    assert (second.headers["x-cache-hits"], second.headers["x-cache-misses"]) == ("2", "1")
    timing = re.fullmatch(
        r"cache;dur=0\.250, queue;dur=1\.500, inference;dur=12\.000, total;dur=([0-9]+\.[0-9]{3})",
        first.headers["server-timing"],
    )
    assert timing is not None
    assert float(timing[1]) > 0


async def test_truncated_texts_are_named_and_only_where_there_are_some(serve: "Serve") -> None:
    long = "word " * 600
    some = await serve().post(PREDICT, json={"text": ["a", long, "b", long]})
    none = await serve().post(PREDICT, json={"text": ["a"]})
    assert some.headers["x-truncated"] == "1,3"
    assert "x-truncated" not in none.headers


async def test_a_model_name_that_no_header_can_carry_is_percent_encoded(
    serve: "Serve", service_with: "ServiceFactory"
) -> None:
    odd = service_with().model._replace(model_id="modèle\r\nX-Evil: 1 %41")
    answer = await serve(model=odd).post(PREDICT, json={"text": ["a"]})
    assert answer.headers["x-model-id"] == "mod%C3%A8le%0D%0AX-Evil:%201%20%2541"
    assert "x-evil" not in answer.headers


async def test_the_request_id_is_there_once_and_is_the_clients(serve: "Serve") -> None:
    own = await serve().post(PREDICT, json={"text": ["a"]}, headers={"x-request-id": "trace-7"})
    new = await serve().post(PREDICT, json={"text": ["a"]})
    assert own.headers.get_list("x-request-id") == ["trace-7"]
    assert len(new.headers.get_list("x-request-id")) == 1


async def test_the_service_gets_what_is_left_of_the_deadline(
    service_with: "ServiceFactory", client_of: "Callable[[HashService], httpx.AsyncClient]"
) -> None:
    service = service_with(deadline_s=20.0)
    service.remembers = False
    await client_of(service).post(PREDICT, json={"text": ["a"]})
    [within_s] = service.asked_within_s
    assert 0 < within_s < 20


async def test_client_settable_timeouts_of_ray_serve_change_nothing(
    service_with: "ServiceFactory", client_of: "Callable[[HashService], httpx.AsyncClient]"
) -> None:
    service = service_with(deadline_s=20.0)
    service.remembers = False
    headers = {"x-request-timeout-seconds": "999", "x-request-disconnect-disabled": "?1"}
    await client_of(service).post(PREDICT, json={"text": ["a"]}, headers=headers)
    assert service.asked_within_s[0] < 20


async def test_more_than_two_labels_with_names_that_need_escapes(
    serve: "Serve", service_with: "ServiceFactory"
) -> None:
    labels = ('so "good"', "naïve\n")
    odd = service_with().model._replace(labels=labels)
    answer = await serve(model=odd).post(PREDICT, json={"text": ["a"]})
    assert {item["label"] for item in json.loads(answer.content)["predictions"][0]} == set(labels)
