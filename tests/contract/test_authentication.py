import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from serve_app.api_keys import hash_of
from serve_app.client import SentimentClient
from serve_app.client.errors import Unauthorized
from serve_app.settings import GatewaySettings
from tests.contract.server import hosted, serving

if TYPE_CHECKING:
    from tests.contract.conftest import Serve, ServiceFactory

PREDICT = "/project/predict"
OLD, NEW = "the old key", "the new key"
HASHES = [hash_of(OLD.encode()), hash_of(NEW.encode())]
BODY = {"text": ["a"]}


@pytest.mark.parametrize("key", [OLD, NEW])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
async def test_every_configured_key_is_accepted(serve: "Serve", key: str, scheme: str) -> None:
    client = serve(api_keys=HASHES)
    answer = await client.post(PREDICT, json=BODY, headers={"authorization": f"{scheme} {key}"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Basic {OLD}",
        OLD,
        f"Bearer {OLD}x",
        f"Bearer {OLD}, Bearer {NEW}",
        # Whoever reads the configuration has the hashes, and not the keys.
        f"Bearer {HASHES[0]}",
        "Bearer \xff\xfe",
        "Bearer " + "k" * 100_000,
    ],
)
async def test_other_requests_are_told_what_is_missing(serve: "Serve", header: str | None) -> None:
    headers = [] if header is None else [(b"authorization", header.encode("latin-1"))]
    answer = await serve(api_keys=HASHES).post(PREDICT, json=BODY, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == 'Bearer realm="sentiment-serve"'
    assert answer.json()["type"] == "urn:sentiment-serve:problem:unauthorized"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    for secret in (OLD, NEW, *HASHES):
        assert secret not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/project/health",
        "/project/ready",
        "/project/openapi.json",
        "/project/docs",
        "/project/docs/swagger-ui.css",
    ],
)
async def test_probes_and_documentation_need_no_key(serve: "Serve", path: str) -> None:
    assert (await serve(api_keys=HASHES).get(path)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/project"),
        ("POST", "/project/bulk-predict"),
        ("GET", "/project/info"),
        ("GET", "/project/nothing"),
        ("GET", "/project/health/"),
        ("GET", "//project/health"),
        ("GET", "/project/docs/../info"),
        ("OPTIONS", "/project/predict"),
    ],
)
async def test_everything_else_needs_one(serve: "Serve", method: str, path: str) -> None:
    answer = await serve(api_keys=HASHES).request(method, f"http://service{path}")
    assert answer.status_code == 401


async def test_a_request_without_a_key_is_refused_before_its_body_is_read(serve: "Serve") -> None:
    async def body() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    assert (await serve(api_keys=HASHES).post(PREDICT, content=body())).status_code == 401


async def test_no_key_is_logged_or_repeated(
    serve: "Serve", caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    client = serve(api_keys=HASHES, fails_with=RuntimeError("broken"))
    answers = [
        await client.post(PREDICT, json=BODY, headers={"authorization": f"Bearer {key}"})
        for key in (OLD, f"{OLD} mistyped")
    ]
    assert [answer.status_code for answer in answers] == [500, 401]
    written = caplog.text + "".join(capfd.readouterr())
    for text in (written, *(answer.text for answer in answers)):
        assert OLD not in text
        assert HASHES[0] not in text


async def test_a_rotation_takes_effect_on_running_replicas(
    serve: "Serve", service_with: "ServiceFactory"
) -> None:
    service = service_with(api_keys=HASHES[:1])
    with serving(hosted(service)) as url, SentimentClient(url, api_key=NEW) as client:
        with pytest.raises(Unauthorized):
            client.predict(["a"])
        for hashes in (HASHES, HASHES[1:]):
            service.settings = GatewaySettings(api_keys=tuple(hashes))
            assert len(client.predict(["a"])) == 1
        service.settings = GatewaySettings(api_keys=tuple(HASHES[:1]))
        with pytest.raises(Unauthorized):
            client.predict(["a"])


async def test_hugging_faces_token_is_the_key(
    service_with: "ServiceFactory", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(hosted(service_with(api_keys=HASHES))) as url:
        model = f"{url}/project"
        assert len(InferenceClient(model=model, token=NEW).text_classification("a")) == 2
        with pytest.raises(HfHubHTTPError) as caught:
            InferenceClient(model=model, token="hf_other").text_classification("a")
        assert caught.value.response.status_code == 401
