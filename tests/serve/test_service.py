import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import httpx
import psutil
import pytest

from loadtest.configs import configured
from loadtest.redis_server import RedisServer
from loadtest.service import Service
from serve_app.client import Prediction, SentimentClient
from serve_app.files.local import LocalScorer
from tests.documentation.markdown import DOCUMENTS
from tests.documentation.sessions import stable, with_output

pytestmark = pytest.mark.serve

DASHBOARD_PORT = 8265
EXAMPLES = {
    "I love this!": "POSITIVE",
    "What a waste of time.": "NEGATIVE",
    "The food was cold and the waiter was rude.": "NEGATIVE",
    "An absolute delight from start to finish.": "POSITIVE",
    "I don't like it": "NEGATIVE",
    "It's not bad at all": "POSITIVE",
}


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def config(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return configured(tmp_path_factory.mktemp("service"), {"cache": redis.url})


@pytest.fixture(scope="module")
def service(config: Path) -> Iterator[Service]:
    with Service(config) as started:
        yield started


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=60) as opened:
        yield opened


def predict(client: httpx.Client, texts: list[str]) -> httpx.Response:
    return client.post("/project/predict", json={"text": texts})


def test_texts_get_the_labels_that_a_person_would_give(client: httpx.Client) -> None:
    answer = predict(client, list(EXAMPLES))
    assert answer.status_code == 200
    first = [scores[0]["label"] for scores in answer.json()["predictions"]]
    assert dict(zip(EXAMPLES, first, strict=True)) == EXAMPLES


def test_a_text_is_computed_once_and_then_remembered(client: httpx.Client) -> None:
    first = predict(client, ["remember me", "and me"])
    second = predict(client, ["and me", "remember me"])
    assert first.headers["x-cache-misses"] == "2"
    assert (second.headers["x-cache-hits"], second.headers["x-cache-misses"]) == ("2", "0")
    assert second.json()["predictions"] == first.json()["predictions"][::-1]


def test_a_score_does_not_depend_on_the_texts_beside_it(client: httpx.Client) -> None:
    alone = predict(client, ["a fine and quiet film"]).json()["predictions"][0]
    beside = [f"{word} " * 60 for word in ("terrible", "WONDERFUL", "x", "!!!")]
    # Another spelling of the same tokens is another text, so that it is not taken from the cache.
    crowd = predict(client, [*beside, "A fine and quiet film"]).json()["predictions"][-1]
    assert crowd[0]["label"] == alone[0]["label"]
    assert crowd[0]["score"] == pytest.approx(alone[0]["score"], abs=1e-3)


def test_the_largest_request_is_spread_and_answered_in_order(client: httpx.Client) -> None:
    texts = [f"{'wonderful' if n % 2 else 'terrible'} number {n}" for n in range(256)]
    answer = predict(client, texts)
    labels = [scores[0]["label"] for scores in answer.json()["predictions"]]
    assert labels == ["NEGATIVE", "POSITIVE"] * 128


def test_a_long_text_is_truncated_and_says_so(client: httpx.Client) -> None:
    answer = predict(client, ["short", "wonderful " * 600])
    assert answer.status_code == 200
    assert answer.headers["x-truncated"] == "1"


def test_every_answer_carries_one_request_id(client: httpx.Client) -> None:
    for path, status in (("/project/health", 200), ("/nowhere", 404)):
        answer = client.get(path, headers={"x-request-id": "mine"})
        assert answer.status_code == status
        assert answer.headers.get_list("x-request-id") == ["mine"]


def test_errors_are_problems_through_the_proxy_too(client: httpx.Client) -> None:
    answer = client.post("/project/predict", content=b'{"text": "no list"}')
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["loc"] == ["body", "text"]
    too_large = client.post("/project/predict", content=b" " * 3_000_000)
    assert (too_large.status_code, too_large.json()["status"]) == (413, 413)


def test_the_service_is_ready_and_knows_what_it_serves(client: httpx.Client) -> None:
    ready = client.get("/project/ready")
    assert (ready.status_code, ready.json()) == (
        200,
        {"status": "ready", "model": "ok", "cache": "ok"},
    )
    info = client.get("/project/info").json()
    assert (info["model"], info["labels"]) == ("embedded", ["NEGATIVE", "POSITIVE"])
    assert info["engine"] == "onnx-int8"


def test_the_hugging_face_form_is_answered(client: httpx.Client) -> None:
    answer = client.post("/project", json={"inputs": "I love this!"}).json()
    assert answer[0][0]["label"] == "POSITIVE"


def test_serves_own_headers_have_no_effect(client: httpx.Client) -> None:
    answer = client.post(
        "/project/predict",
        json={"text": ["with foreign headers"]},
        headers={"x-request-timeout-seconds": "0.000001", "x-request-disconnect-disabled": "?1"},
    )
    assert answer.status_code == 200


def test_nothing_but_replicas_listens_beyond_loopback_and_those_ask_for_a_token(
    service: Service,
) -> None:
    listening = [
        (process.name(), connection.laddr.ip.removeprefix("::ffff:"), connection.laddr.port)
        for process in service.processes()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert DASHBOARD_PORT not in {port for _, _, port in listening}
    # Serve binds the port for calls between deployments to every address.
    beyond = [(name, port) for name, ip, port in listening if ip not in {"127.0.0.1", "::1"}]
    assert {name.partition(":sentiment")[0] for name, _ in beyond} == {"ray::ServeReplica"}
    for _, port in beyond:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/ray.serve.ASGIService/HandleRequest")
            with pytest.raises(grpc.RpcError) as caught:
                call(b"", timeout=30)
        assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED


def test_a_model_in_process_and_the_client_agree(service: Service) -> None:
    texts = [*EXAMPLES, "", "wonderful " * 600, *(f"quite good, number {n}" for n in range(300))]
    local = LocalScorer("embedded", "auto", print).score(texts)
    with SentimentClient(service.url) as client:
        remote = client.predict(texts)
    for one, other in zip(local, remote, strict=True):
        assert isinstance(one, Prediction)
        assert one.scores == pytest.approx(other.scores, abs=1e-6)
        assert (one.label, one.truncated) == (other.label, other.truncated)


def test_predict_scores_through_the_service(service: Service) -> None:
    command = [sys.executable, "-m", "serve_app.cli", "predict", "--url", service.url, *EXAMPLES]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["text"]: row["predicted_label"] for row in rows} == EXAMPLES


def test_the_sessions_of_the_documents_are_as_they_say(service: Service, tmp_path: Path) -> None:
    for document in DOCUMENTS:
        text, directory = document.read_text(), tmp_path / document.stem
        directory.mkdir(exist_ok=True)
        assert stable(with_output(text, service.url, directory)) == stable(text)
