import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loadtest.ports import free_port
from monitoring.picture import draw
from monitoring.prometheus import Client, binary
from serve_app.errors import StartupError

ROOT = Path(__file__).parents[3]
NOT_OF_THE_SERVICE = ("httpx", "matplotlib", "jinja2", "pytest", "torch")


@contextmanager
def program(*prefix: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run `python -m monitoring` where nothing is installed but what the service needs."""
    try:
        binary("prometheus")
    except StartupError as error:
        pytest.skip(error.problem)
    hide = "".join(f"sys.modules[{name!r}] = None; " for name in NOT_OF_THE_SERVICE)
    code = f"import runpy, sys; {hide}runpy.run_module('monitoring', run_name='__main__')"
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | variables
    command = [*prefix, sys.executable, "-c", code]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        except BaseException:
            process.terminate()
            raise


def test_it_runs_with_what_the_service_needs_and_says_that_no_service_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket() as service:
        if service.connect_ex(("127.0.0.1", 8090)) == 0:
            pytest.skip("a service of this machine exports its metrics")
    port = free_port()
    # As in the background job of a shell.
    with program("env", "--ignore-signal=INT", PROMETHEUS_PORT=str(port)) as process:
        assert process.stderr
        first, second = process.stderr.readline(), process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert first.startswith(f"Prometheus: http://127.0.0.1:{port}/targets"), first + second + rest
    assert second == (
        "nothing answers at http://127.0.0.1:8090/metrics yet: start the service with make serve\n"
    )


def test_a_port_that_is_taken_is_told_with_another_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with program(PROMETHEUS_PORT=str(port)) as process:
            assert process.stderr
            printed = process.stderr.read()
    assert f"error: cannot listen on 127.0.0.1:{port}: Address already in use" in printed
    assert f"make monitoring PROMETHEUS_PORT={port + 1}" in printed
    assert process.returncode == 1


def test_the_verb_installs_what_the_service_needs_alone() -> None:
    [recipe] = re.findall(r"^monitoring: (.*?)  ##", (ROOT / "Makefile").read_text(), re.M)
    assert recipe == ".venv/.serve"


class Empty(Client):
    """A Prometheus without a series."""

    def query_range(
        self, expression: str, start: float, end: float, step: float
    ) -> list[dict[str, str]]:
        return []


def test_panels_without_data_say_so(tmp_path: Path) -> None:
    figure = draw(Empty(""), 60, tmp_path / "overview.png")
    for axes in figure.axes:
        [note] = axes.texts
        assert note.get_text().startswith("No data: ")
