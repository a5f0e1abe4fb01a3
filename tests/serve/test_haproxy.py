"""Production's proxy in front of a real service: whatever it says by itself keeps the contract."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx
import psutil
import pytest

from loadtest.configs import configured, haproxy_environment
from loadtest.service import Service
from tests.serve.test_hostile_input import FINE, is_refusal
from tests.serve.wire import CLOSED, Reply, ask, post

pytestmark = [pytest.mark.serve, pytest.mark.slow]

BACK_S = 60
# A proxy that is gone is found after three checks.
EAGER = {"RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "0.5"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    environment = haproxy_environment() | EAGER
    directory = tmp_path_factory.mktemp("haproxy")
    with Service(
        configured(directory, {"engine": "simulated"}, environment=environment)
    ) as started:
        yield started


def until_answered(service: Service, again: Callable[[], bool]) -> list[Reply]:
    """Ask until there is an answer by what takes the place of what was killed."""
    replies: list[Reply] = []
    give_up = time.monotonic() + BACK_S
    while True:
        assert time.monotonic() < give_up
        reply = CLOSED
        with suppress(OSError):
            reply = ask(service.url, post(FINE))
        replies.append(reply)
        if reply.status == 200 and again():
            return replies
        time.sleep(0.02)


def asks_to_come_again(reply: Reply) -> bool:
    return (
        is_refusal(reply, 503)
        and int(reply.headers["retry-after"]) > 0
        and json.loads(reply.body)["request_id"] == reply.headers["x-request-id"] != ""
    )


def test_an_unknown_path_is_told_by_the_gateway(service: Service) -> None:
    answer = httpx.get(f"{service.url}/nowhere", headers={"X-Request-ID": "mine"}, timeout=30)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers.get_list("x-request-id") == ["mine"]


def test_a_haproxy_that_knows_no_route_yet_asks_to_come_again(service: Service) -> None:
    for haproxy in service.processes("haproxy"):
        # One that a reload has replaced ends by itself.
        with suppress(psutil.NoSuchProcess):
            haproxy.send_signal(signal.SIGKILL)
    replies = until_answered(service, lambda: bool(service.processes("haproxy")))
    refused = [reply for reply in replies if reply.status not in {0, 200}]
    assert refused
    assert [reply for reply in refused if not asks_to_come_again(reply)] == []
