"""Other users of the machine: what they plant, and what they can reach of a run."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from loadtest.configs import configured, haproxy_environment
from loadtest.service import Server, Service
from tests.serve.serve_run import ServeRun

pytestmark = [pytest.mark.serve, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
NOBODY = 65534
START_S = 60
LOOPBACK = {"127.0.0.1", "::1"}


@cache
def as_nobody() -> dict[str, Any]:
    """Return what runs Python as another user, or nothing where this user cannot."""
    nobody: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    try:
        subprocess.run([sys.executable, "-c", "import ray"], check=True, **nobody)
    except (OSError, subprocess.SubprocessError):
        return {}
    return nobody


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory that anyone may write, as /tmp, with a path short enough for Ray's sockets."""
    directory = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    directory.chmod(0o1777)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def attacker(shared: Path) -> Iterator[Path]:
    """The directory of another user's cluster, whose address stands where Ray looks for one."""
    files = shared / "a"
    files.mkdir()
    if as_nobody():
        os.chown(files, NOBODY, NOBODY)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.serve.attacker", files],
        env=kept
        | {
            "RAY_TMPDIR": str(files),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_AUTH_MODE": "disabled",
            "HOME": str(files),
        },
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **as_nobody(),
    )
    try:
        give_up = time.monotonic() + START_S
        while not (files / "address").exists():
            assert process.poll() is None
            assert time.monotonic() < give_up
            time.sleep(0.1)
        yield files
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def plant(shared: Path, address: str) -> None:
    (shared / "ray").mkdir()
    (shared / "ray" / "ray_current_cluster").write_text(address)


def served(config: Path, **environment: str) -> None:
    """Start a service, ask it once and end it."""
    with Service(config, **environment) as service:
        answer = httpx.post(f"{service.url}/project/predict", json={"text": ["good"]}, timeout=60)
        assert answer.status_code == 200
        assert service.interrupt() == 0
        assert service.processes() == []


def test_a_service_joins_no_cluster_that_another_user_has_planted(
    shared: Path, attacker: Path, tmp_path: Path
) -> None:
    address = (attacker / "address").read_text()
    plant(shared, address)
    foreign = {"RAY_TMPDIR": str(shared), "RAY_ADDRESS": address}
    config = configured(tmp_path, {"engine": "simulated"}, environment=foreign)
    served(config, TMPDIR=str(shared), **foreign)
    assert not (attacker / "executed").exists()
    assert not (attacker / "ended").exists()
    assert {path.name for path in shared.iterdir()} == {"a", "ray"}


def test_a_stale_address_does_not_matter(shared: Path, tmp_path: Path) -> None:
    plant(shared, "127.0.0.1:1")
    served(configured(tmp_path, {"engine": "simulated"}), TMPDIR=str(shared))
    assert {path.name for path in shared.iterdir()} == {"ray"}


@pytest.fixture(scope="module", params=["python", "haproxy"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    environment = haproxy_environment() if request.param == "haproxy" else {}
    directory = tmp_path_factory.mktemp(str(request.param))
    config = configured(directory, {"engine": "simulated"}, environment=environment)
    with Service(config) as started:
        yield started


def others_may(path: Path, right: int) -> bool:
    """Tell whether other users have a right on a path, and on the way to it."""
    steps = [each for each in path.parents if each.exists()]
    # HAProxy has renamed its socket since it opened it.
    allowed = not path.exists() or bool(path.stat().st_mode & right)
    return allowed and all(step.stat().st_mode & stat.S_IXOTH for step in steps)


def connections(service: Server, kind: str) -> Iterator[tuple[str, Any]]:
    """Yield the name of each process of a run with each of its connections."""
    for process in service.processes():
        # HAProxy ends the process that a reload has replaced.
        with suppress(psutil.NoSuchProcess):
            name = process.name()
            yield from ((name, each) for each in process.net_connections(kind))


def test_no_socket_of_a_run_is_open_to_other_users(service: Service) -> None:
    paths = {str(each.laddr) for _, each in connections(service, "unix") if each.laddr}
    assert {Path(path).name for path in paths} >= {"raylet", "plasma_store"}
    assert [path for path in paths if not path.startswith("/")] == []
    assert [path for path in paths if others_may(Path(path), stat.S_IWOTH)] == []


def test_no_file_that_a_run_writes_is_open_to_other_users(service: Service) -> None:
    written = set()
    for process in service.processes():
        with suppress(psutil.NoSuchProcess):
            written |= {file.path for file in process.open_files() if file.mode != "r"}
    assert any(path.endswith("raylet.out") for path in written)
    assert [path for path in written if others_may(Path(path), stat.S_IROTH | stat.S_IWOTH)] == []


def test_the_token_of_a_run_is_in_no_command_line_and_no_file(service: Service) -> None:
    processes = service.processes()
    (token,) = {token for each in processes if (token := variable(each, "RAY_AUTH_TOKEN"))}
    (directory,) = {path for each in processes if (path := variable(each, "RAY_TMPDIR"))}
    assert len(token) == 64
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            assert token not in " ".join(process.cmdline())
    files = [path for path in Path(directory).rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if token.encode() in path.read_bytes()] == []


def variable(process: psutil.Process, name: str) -> str:
    """Return a variable of a process; empty where Ray has overwritten them."""
    with suppress(psutil.Error):
        return process.environ().get(name, "")
    return ""


def listening(server: Server) -> set[tuple[str, str]]:
    """Return the name of each process of a run that listens, with the address."""
    return {
        (name.partition(":sentiment")[0], each.laddr.ip.removeprefix("::ffff:"))
        for name, each in connections(server, "inet")
        if each.status == psutil.CONN_LISTEN
    }


def beyond_loopback(server: Server) -> set[str]:
    return {name for name, address in listening(server) if address not in LOOPBACK}


def test_nothing_but_replicas_listens_beyond_loopback(service: Service) -> None:
    assert ("haproxy", "127.0.0.1") in listening(service) or not service.processes("haproxy")
    assert beyond_loopback(service) == {"ray::ServeReplica"}


def test_a_plain_serve_run_keeps_rays_ports_on_loopback_where_it_is_told_to(tmp_path: Path) -> None:
    config = configured(tmp_path, {"engine": "simulated"})
    with ServeRun(config, RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0") as run:
        assert ("ray::ProxyActor", "127.0.0.1") in listening(run)
        assert beyond_loopback(run) == {"ray::ServeReplica"}


def test_only_the_user_of_a_run_reaches_haproxys_admin_socket(service: Service) -> None:
    haproxies = service.processes("haproxy")
    if not haproxies:
        pytest.skip("Ray's Python proxy has no admin socket")
    configuration = Path(haproxies[0].cmdline()[haproxies[0].cmdline().index("-f") + 1])
    admin = Path(configuration.read_text().split("stats socket ")[1].split()[0])
    assert stat.S_IMODE(admin.stat().st_mode) == 0o600
    assert not others_may(admin, stat.S_IWOTH)
    with socket.socket(socket.AF_UNIX) as mine:
        mine.connect(str(admin))
    if as_nobody():
        asked = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
        tried = subprocess.run(
            [sys.executable, "-c", asked, admin],
            capture_output=True,
            text=True,
            check=False,
            **as_nobody(),
        )
        assert "PermissionError" in tried.stderr
