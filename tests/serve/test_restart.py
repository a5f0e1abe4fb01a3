from pathlib import Path

import httpx
import pytest

from loadtest.redis_server import RedisServer
from tests.serve.service import Service, configured

pytestmark = pytest.mark.serve


def predict(client: httpx.Client, text: str) -> httpx.Response:
    return client.post("/project/predict", json={"text": [text]})


def opened(service: Service) -> httpx.Client:
    return httpx.Client(base_url=service.url, timeout=60)


def test_scores_survive_a_restart_and_the_service_an_outage_of_redis(tmp_path: Path) -> None:
    with RedisServer() as redis:
        config = configured(tmp_path, {"cache": redis.url})
        with Service(config) as service, opened(service) as client:
            before = predict(client, "survive").json()
            assert predict(client, "survive").headers["x-cache-hits"] == "1"
        with Service(config) as restarted, opened(restarted) as client:
            hit = predict(client, "survive")
            assert (hit.headers["x-cache-hits"], hit.json()) == ("1", before)
            redis.kill()
            for text in ("survive", "new without redis", "and another"):
                assert predict(client, text).status_code == 200
            assert client.get("/project/ready").json()["cache"] == "degraded"
    with Service(config) as without, opened(without) as client:
        computed = predict(client, "survive")
        assert (computed.status_code, computed.headers["x-cache-hits"]) == (200, "0")
        assert computed.json() == before
