import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml

from loadtest import k6_process
from loadtest.bench.cold_start import LIMIT_S, cold_start_s
from loadtest.configs import DEV
from loadtest.report.run import read_run
from serve_app.errors import StartupError
from serve_app.ray_serve.config import read

pytestmark = [pytest.mark.serve, pytest.mark.slow]

ROOT = Path(__file__).parents[2]

# k6 ends with this where a threshold was crossed: how fast this machine is, is no matter of a test.
TOO_SLOW = 99


def test_a_load_test_starts_a_service_with_redis_reports_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        k6_process.binary()
    except StartupError as error:
        pytest.skip(error.problem)
    monkeypatch.setenv("DURATION", "3s")
    results = tmp_path / "results"
    command = [sys.executable, "-m", "loadtest", "zipf", "--redis", "--results", str(results)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in {0, TOO_SLOW}, done.stdout + done.stderr
    (directory,) = results.iterdir()
    run = read_run(directory)
    assert run.summary.requests.failed == 0
    assert set(run.roles) >= {"gateway", "classifier", "proxy", "redis"}
    assert run.usage
    # A machine under other load may answer a probe too late.
    assert any(usage.ready and usage.cache == "ok" for usage in run.usage)
    assert {"report.html", "report.png", "service.log"} <= {p.name for p in directory.iterdir()}
    left = [p for p in psutil.process_iter() if str(directory) in " ".join(_command(p))]
    assert left == []


def test_a_service_that_does_not_answer_is_told_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "loadtest", "zipf", "--url", "http://127.0.0.1:9"]
    done = subprocess.run(
        [*command, "--results", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == (
        "error: http://127.0.0.1:9/project/ready does not answer 200"
    )


def test_a_port_that_is_taken_is_told_with_how_to_load_the_service_that_has_it(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        config = tmp_path / "config.yaml"
        content = read(DEV)
        content["environment"] |= {
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_HAPROXY_STATS_PORT": str(taken),
        }
        config.write_text(yaml.safe_dump(content))
        command = [sys.executable, "-m", "loadtest", "zipf", "--config", str(config)]
        done = subprocess.run(
            [*command, "--results", str(tmp_path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    problem, hint = done.stderr.splitlines()[-2:]
    assert f"cannot listen on 127.0.0.1:{taken}" in problem
    assert hint.endswith("or load a service that runs: URL=http://127.0.0.1:8000")


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_the_benchmark_measures_the_start_of_a_replica() -> None:
    assert 0 < cold_start_s("embedded", "simulated") < LIMIT_S
