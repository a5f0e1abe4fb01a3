import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from loadtest.configs import configured, haproxy_environment
from loadtest.service import Service
from tests.serve.serve_run import ServeRun

pytestmark = pytest.mark.serve


@pytest.fixture
def config(tmp_path: Path, model_directory: Path, warm_cache: Path) -> Path:
    return configured(tmp_path, {"model": str(model_directory)})


@pytest.mark.slow
def test_somebody_elses_ray_settings_do_not_matter(config: Path) -> None:
    foreign: dict[str, Any] = {
        "RAY_ADDRESS": "127.0.0.1:1",
        "RAY_SERVE_ENABLE_DIRECT_INGRESS": "1",
        "RAY_AUTH_MODE": "token",
    }
    with Service(config, **foreign) as service:
        answer = httpx.post(f"{service.url}/project/predict", json={"text": ["good"]}, timeout=60)
        assert answer.status_code == 200
        assert service.interrupt(signal.SIGTERM) == 0
        assert service.processes() == []


@pytest.mark.slow
def test_the_first_start_prepares_the_model_in_sight_and_prints_a_request_that_works(
    tmp_path: Path, model_directory: Path, cache_dir: Path
) -> None:
    config = configured(tmp_path, {"model": str(model_directory)})
    with Service(config) as service:
        printed = "".join(service.printed)
        assert "preparing tiny, once:\n  exporting to ONNX\n" in printed
        (command,) = (line.strip() for line in service.printed if "curl " in line)
        curl = subprocess.run(
            f"{command} --silent --show-error", shell=True, capture_output=True, check=True
        )
        assert curl.stdout.startswith(b'{"predictions":[[{"label":')
        assert "INFO" not in printed
    assert service.printed[-1] == "stopping\n"


@pytest.mark.slow
def test_nothing_is_left_of_haproxy_nor_of_a_service_that_was_killed(
    tmp_path: Path, model_directory: Path, warm_cache: Path
) -> None:
    config = configured(
        tmp_path, {"model": str(model_directory)}, environment=haproxy_environment()
    )
    with Service(config) as service:
        answer = httpx.post(f"{service.url}/project/predict", json={"text": ["good"]}, timeout=60)
        assert answer.status_code == 200
        assert len(answer.headers.get_list("x-request-id")) == 1
        refusal = httpx.post(f"{service.url}/project/predict", content=b"{", timeout=60)
        assert (refusal.status_code, refusal.json()["status"]) == (422, 422)
        hurried = httpx.post(
            f"{service.url}/project/predict",
            json={"text": ["bad"]},
            headers={"x-request-timeout-seconds": "0.000001"},
            timeout=60,
        )
        assert hurried.status_code == 200
        assert service.processes("haproxy")
        (raylet,) = service.processes("raylet")
        directory = Path(raylet.environ()["RAY_TMPDIR"])
        assert any(directory.rglob("haproxy.cfg"))
        (child,) = (
            p for p in service.processes("python") if "serve_app.ray_serve.launch" in p.cmdline()
        )
        child.kill()
        assert service.wait() == 128 + signal.SIGKILL
        assert service.processes() == []
        assert not directory.exists()


@pytest.mark.slow
def test_a_service_ends_when_its_launcher_is_killed(config: Path) -> None:
    with Service(config) as service:
        (directory,) = {Path(p.environ()["RAY_TMPDIR"]) for p in service.processes("raylet")}
        assert directory.exists()
        assert service.interrupt(signal.SIGKILL) == -signal.SIGKILL
        while service.processes():
            time.sleep(0.2)
        assert not directory.exists()


@pytest.mark.slow
def test_a_plain_serve_run_works_too(config: Path) -> None:
    with ServeRun(config) as run:
        answer = httpx.post(f"{run.url}/project/predict", json={"text": ["good"]}, timeout=60)
        assert answer.status_code == 200
        assert list(answer.json()) == ["predictions"]


@pytest.mark.slow
def test_a_service_started_in_the_background_of_a_script_can_be_stopped(config: Path) -> None:
    script = f"{sys.executable} -m serve_app.cli serve {config} & echo $!; wait"
    with subprocess.Popen(
        ["sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as shell:
        assert shell.stdout
        assert shell.stderr
        pid = int(shell.stdout.readline())
        while "Ctrl-C ends it" not in shell.stderr.readline():
            assert shell.poll() is None
        os.kill(pid, signal.SIGTERM)
        assert shell.stderr.read() == "stopping\n"
