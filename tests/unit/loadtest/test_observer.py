import time
from pathlib import Path

import psutil
import pytest

from loadtest.observer import Observer, usage_by_role
from loadtest.processes import ProcessUsage, role, serving
from loadtest.results import USAGE, read_usage


def wait_for_observations(number: int, directory: Path) -> None:
    path = directory / USAGE
    while not path.exists() or path.read_text().count("\n") < number:
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["ray::ServeReplica:sentiment:Gateway"], "gateway"),
        (["ray::ServeReplica:sentiment:Classifier"], "classifier"),
        (["ray::ProxyActor"], "proxy"),
        (["/opt/haproxy", "-f", "haproxy.cfg"], "proxy"),
        (["ray::ServeController.listen_for_change"], "controller"),
        (["/opt/redis-server 127.0.0.1:6379"], "redis"),
        (["redis-server unixsocket:/run/redis.sock"], "redis"),
        (["/opt/ray/gcs_server", "--log_dir=logs"], "ray"),
        (["/haproxy/bin/python", "-m", "pytest", "tests/unit/test_haproxy.py"], "ray"),
        ([], "ray"),
    ],
)
def test_a_process_is_told_by_its_title(command: list[str], expected: str) -> None:
    assert role(command) == expected


def test_processes_of_a_role_are_added_up_and_new_ones_have_used_nothing_yet() -> None:
    before = {1: ProcessUsage("gateway", 10, 5.0), 2: ProcessUsage("proxy", 1, 0.0)}
    now = {1: ProcessUsage("gateway", 20, 6.0), 3: ProcessUsage("gateway", 30, 9.0)}
    usage = usage_by_role(before, now, seconds=2)
    assert usage.keys() == {"gateway"}
    assert usage["gateway"].model_dump() == {"processes": 2, "rss_bytes": 50, "cores": 0.5}


def test_a_service_is_observed_until_the_end(url: str, tmp_path: Path) -> None:
    with Observer(url, tmp_path / USAGE, [psutil.Process()]):
        wait_for_observations(2, tmp_path)
    for usage in read_usage(tmp_path):
        assert usage.ready
        assert usage.cache == "ok"
        assert usage.roles["ray"].rss_bytes > 0


def test_a_service_elsewhere_is_observed_over_http_alone(url: str, tmp_path: Path) -> None:
    with Observer(url, tmp_path / USAGE, []) as observer:
        observer.watch_load_generator(psutil.Process().pid)
        wait_for_observations(1, tmp_path)
    assert not any(usage.roles for usage in read_usage(tmp_path))


def test_a_service_that_is_gone_is_not_ready(tmp_path: Path) -> None:
    with Observer("http://127.0.0.1:9", tmp_path / USAGE, []):
        wait_for_observations(1, tmp_path)
    assert {(usage.ready, usage.cache) for usage in read_usage(tmp_path)} == {(False, None)}


def test_a_listener_that_is_not_the_service_is_not_taken_for_it(url: str) -> None:
    assert serving(int(url.rpartition(":")[2])) is None
