import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from tests.contract.hash_service import MODEL, logits_of
from tests.contract.server import hosted, serving

if TYPE_CHECKING:
    from tests.contract.conftest import Serve, ServiceFactory

LIKE = "I like you"


@pytest.fixture
def hub_client(
    service_with: "ServiceFactory", monkeypatch: pytest.MonkeyPatch
) -> Iterator[InferenceClient]:
    """Yield Hugging Face's own client, pointed at the application on a real server."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(hosted(service_with())) as url:
        yield InferenceClient(model=f"{url}/project", token="hf_unused", timeout=30)


async def test_inference_client_reads_the_answer_unchanged(hub_client: InferenceClient) -> None:
    answer = hub_client.text_classification(LIKE)
    assert {element.label for element in answer} == {"NEGATIVE", "POSITIVE"}
    assert sum(element.score for element in answer) == pytest.approx(1, abs=1e-6)
    assert answer[0].score >= answer[1].score


async def test_inference_client_may_ask_for_the_best_labels(hub_client: InferenceClient) -> None:
    every = hub_client.text_classification(LIKE)
    assert hub_client.text_classification(LIKE, top_k=1) == every[:1]
    assert hub_client.text_classification(LIKE, top_k=9) == every


@pytest.mark.parametrize("transform", ["softmax", "sigmoid", "none"])
async def test_inference_client_may_choose_the_transform(
    hub_client: InferenceClient,
    serve: "Serve",
    transform: Literal["softmax", "sigmoid", "none"],
) -> None:
    answer = hub_client.text_classification(LIKE, function_to_apply=transform)
    parameters = {"function_to_apply": transform}
    direct = await serve().post("/project", json={"inputs": LIKE, "parameters": parameters})
    assert [[dict(element) for element in answer]] == direct.json()


async def test_inference_client_reports_a_problem_as_an_http_error(
    hub_client: InferenceClient,
) -> None:
    with pytest.raises(HfHubHTTPError) as caught:
        hub_client.text_classification(LIKE, top_k=0)
    assert caught.value.response.status_code == 422


async def test_no_transform_returns_the_logits(
    serve: "Serve", expected_logits: Callable[[str], tuple[float, ...]]
) -> None:
    body = {"inputs": LIKE, "parameters": {"function_to_apply": "none"}}
    [prediction] = (await serve().post("/project", json=body)).json()
    logits = dict(zip(("NEGATIVE", "POSITIVE"), expected_logits(LIKE), strict=True))
    assert {item["label"]: item["score"] for item in prediction} == logits


async def test_a_list_is_answered_with_a_list_per_text(serve: "Serve") -> None:
    client = serve()
    one = await client.post("/project", json={"inputs": "a"})
    many = await client.post("/project", json={"inputs": ["a", "b"]})
    none = await client.post("/project", json={"inputs": []})
    assert len(one.json()) == 1
    assert many.json()[:1] == one.json()
    assert len(many.json()) == 2
    assert none.json() == []


async def test_softmax_is_what_predict_answers(serve: "Serve") -> None:
    client = serve()
    predicted = await client.post("/project/predict", json={"text": ["a", "b"]})
    classified = await client.post("/project", json={"inputs": ["a", "b"]})
    assert classified.json() == predicted.json()["predictions"]
    assert classified.headers["x-model-id"] == predicted.headers["x-model-id"]
    assert classified.headers["x-cache-hits"] == "2"


@pytest.mark.parametrize("parameters", [None, {}, {"top_k": None, "function_to_apply": None}])
async def test_parameters_may_be_left_out(serve: "Serve", parameters: Any) -> None:
    answer = await serve().post("/project", json={"inputs": "a", "parameters": parameters})
    assert answer.status_code == 200
    assert len(answer.json()[0]) == 2


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": "a", "options": {"use_cache": False, "wait_for_model": True}},
        {"inputs": "a", "options": None},
        {"inputs": "a", "options": {}},
        {"inputs": {"text": "a"}},
        {"inputs": [{"text": "a", "text_pair": None}]},
        *(
            {"inputs": "a", "parameters": parameters}
            for parameters in (
                {"return_all_scores": True},
                {"top_k": 2, "return_all_scores": False},
                {"function_to_apply": "SOFTMAX"},
                {"truncation": True},
                {"truncation": "longest_first"},
            )
        ),
    ],
)
async def test_bodies_of_the_hosted_api_are_served_as_its_pipeline_does(
    serve: "Serve", body: Any
) -> None:
    client = serve()
    plain = await client.post("/project", json={"inputs": "a"})
    answer = await client.post("/project", json=body)
    assert (answer.status_code, answer.json()) == (200, plain.json())


async def test_not_all_scores_are_those_of_the_best_label(serve: "Serve") -> None:
    client = serve()
    [every] = (await client.post("/project", json={"inputs": "a"})).json()
    body = {"inputs": "a", "parameters": {"return_all_scores": False}}
    assert (await client.post("/project", json=body)).json() == [every[:1]]


@pytest.mark.parametrize(
    ("body", "loc", "instead"),
    [
        ({"inputs": {"text": "a", "text_pair": "b"}}, ["inputs", 0], "each text as a string"),
        ({"inputs": ["a", {"text": "a", "text_pair": "b"}]}, ["inputs", 1], "each text as a"),
        ({"inputs": [["a", "b"]]}, ["inputs", 0], "each text as a string"),
        ({"inputs": "a", "top_k": 1}, ["top_k"], "in parameters"),
        ({"inputs": "a", "return_all_scores": True}, ["return_all_scores"], "in parameters"),
        ({"inputs": "a", "wait_for_model": True}, ["wait_for_model"], "in options"),
        ({"inputs": "a", "text": ["a"]}, ["text"], "as inputs"),
        *(
            ({"inputs": "a", part: {name: value}}, [part, name], instead)
            for part, name, value, instead in (
                ("parameters", "truncation", False, "X-Truncated"),
                ("parameters", "truncation", "only_second", "X-Truncated"),
                ("parameters", "max_length", 128, "max_tokens"),
                ("parameters", "padding", True, "does not change a score"),
                ("parameters", "candidate_labels", ["a"], "/project/info"),
                ("parameters", "raw_scores", True, '"function_to_apply": "none"'),
                ("options", "use_gpu", True, "Leave it out"),
            )
        ),
    ],
)
async def test_what_means_nothing_here_is_refused_with_what_to_write_instead(
    serve: "Serve", body: Any, loc: list[str | int], instead: str
) -> None:
    answer = await serve().post("/project", json=body)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["loc"] == ["body", *loc]
    assert instead in error["msg"]


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({}, ["body", "inputs"]),
        ({"inputs": {}}, ["body", "inputs", 0]),
        ({"inputs": {"text": 1}}, ["body", "inputs", 0]),
        ({"inputs": {"text": "a", "other": 1}}, ["body", "inputs", 0]),
        ({"inputs": "a", "options": {"use_cache": "no"}}, ["body", "options", "use_cache"]),
        ({"inputs": 1}, ["body", "inputs"]),
        ({"inputs": ["a", 1]}, ["body", "inputs", 1]),
        ({"inputs": "a" * 11}, ["body", "inputs", 0]),
        ({"inputs": ["a"] * 4}, ["body", "inputs"]),
        ({"inputs": "a", "extra": 1}, ["body", "extra"]),
        ({"inputs": "a", "parameters": 1}, ["body", "parameters"]),
        ({"inputs": "a", "parameters": {"top_k": 0}}, ["body", "parameters", "top_k"]),
        ({"inputs": "a", "parameters": {"top_k": "1"}}, ["body", "parameters", "top_k"]),
        ({"inputs": "a", "parameters": {"top_k": True}}, ["body", "parameters", "top_k"]),
        (
            {"inputs": "a", "parameters": {"function_to_apply": "tanh"}},
            ["body", "parameters", "function_to_apply"],
        ),
        ({"inputs": "a", "parameters": {"x": 1}}, ["body", "parameters", "x"]),
    ],
)
async def test_wrong_bodies_are_refused_with_their_place(
    serve: "Serve", body: Any, loc: list[str | int]
) -> None:
    answer = await serve(max_chars=10, max_texts=3).post("/project", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["loc"] for error in answer.json()["errors"]] == [loc]


async def test_labels_that_do_not_exclude_each_other_get_sigmoids(serve: "Serve") -> None:
    client = serve(model=MODEL._replace(transform="sigmoid"))
    for path, body in (("/project/predict", {"text": ["a"]}), ("/project", {"inputs": "a"})):
        answer = (await client.post(path, json=body)).json()
        [scores] = answer["predictions"] if "text" in body else answer
        expected = [1 / (1 + math.exp(-logit)) for logit in sorted(logits_of("a"), reverse=True)]
        assert [each["score"] for each in scores] == pytest.approx(expected)
        assert sum(expected) != pytest.approx(1)
    wanted = {"inputs": "a", "parameters": {"function_to_apply": "softmax"}}
    [scores] = (await client.post("/project", json=wanted)).json()
    assert sum(each["score"] for each in scores) == pytest.approx(1)
