import time
from pathlib import Path

import httpx
import pytest

from loadtest.configs import configured
from loadtest.redis_server import RedisServer
from loadtest.service import Service

pytestmark = [pytest.mark.serve, pytest.mark.slow]


def predict(client: httpx.Client, text: str) -> httpx.Response:
    return client.post("/project/predict", json={"text": [text]})


def cache(client: httpx.Client) -> str:
    state: str = client.get("/project/ready").json()["cache"]
    return state


def opened(service: Service) -> httpx.Client:
    return httpx.Client(base_url=service.url, timeout=60)


def test_the_service_outlives_redis_and_scores_in_redis_outlive_the_service(tmp_path: Path) -> None:
    redis = RedisServer()
    config = configured(tmp_path, {"cache": redis.url})
    with Service(config) as without, opened(without) as client:
        assert predict(client, "before there is a redis").status_code == 200
        assert cache(client) == "degraded"
        with redis:
            while cache(client) == "degraded":
                time.sleep(0.2)
            computed = predict(client, "survive")
            assert computed.headers["x-cache-hits"] == "0"
            assert predict(client, "survive").headers["x-cache-hits"] == "1"
            without.interrupt()
            with Service(config) as restarted, opened(restarted) as other:
                hit = predict(other, "survive")
                assert (hit.headers["x-cache-hits"], hit.json()) == ("1", computed.json())
                redis.kill()
                for text in ("survive", "new without redis", "and another"):
                    assert predict(other, text).status_code == 200
                assert cache(other) == "degraded"
