"""A Redis cluster is served; what cannot be served is named in the log and in `ready`."""

import asyncio
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis

from loadtest.ports import free_port
from loadtest.redis_server import RedisServer, redis_binary
from serve_app.cache.redis import FAILURES_TO_OPEN
from tests.unit.cache.scores import GUARD_S, Opener, scores

SLOTS = 16_384
ITEMS = scores(range(200))


@pytest.fixture
def cluster() -> Iterator[list[RedisServer]]:
    """Three nodes that share the slots."""
    with ExitStack() as stack:
        nodes = [
            stack.enter_context(
                RedisServer("--cluster-enabled", "yes", "--cluster-node-timeout", "500")
            )
            for _ in range(3)
        ]
        clients = [stack.enter_context(Redis.from_url(node.url)) for node in nodes]
        for number, client in enumerate(clients):
            client.execute_command("CLUSTER MEET", "127.0.0.1", nodes[0].port)
            first, last = number * SLOTS // 3, (number + 1) * SLOTS // 3 - 1
            client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
        give_up = time.monotonic() + GUARD_S
        while any(client.cluster("info")["cluster_state"] != "ok" for client in clients):
            assert time.monotonic() < give_up
            time.sleep(0.05)
        yield nodes


async def test_a_cluster_holds_scores_on_all_its_nodes_whichever_the_url_names(
    cluster: list[RedisServer], open_scores: Opener
) -> None:
    await open_scores(cluster[0].url).set_many(ITEMS)
    for node in cluster:
        with Redis.from_url(node.url) as client:
            assert 0 < client.dbsize() < len(ITEMS)
        cache = open_scores(node.url)
        await cache.probe()
        assert await cache.get_many(list(ITEMS)) == ITEMS
        assert (cache.state, cache.problem) == ("ok", "")
        assert cache.shared
        assert sum(cache.shared.failures.values()) == 0


async def test_more_calls_at_once_than_connections_to_a_cluster(
    cluster: list[RedisServer], open_scores: Opener
) -> None:
    await open_scores(cluster[0].url).set_many(ITEMS)
    cache = open_scores(f"{cluster[1].url}?max_connections=2")
    answers = await asyncio.gather(*(cache.get_many([key]) for key in ITEMS))
    assert [list(answer.values()) for answer in answers] == [[value] for value in ITEMS.values()]
    assert cache.state == "ok"


async def test_a_cluster_without_a_node_is_named_and_comes_back(
    cluster: list[RedisServer], open_scores: Opener
) -> None:
    cache = open_scores(cluster[0].url, cache_timeout_s=0.2)
    await cache.set_many(ITEMS)
    cluster[2].kill()
    async with asyncio.timeout(GUARD_S):
        for number in range(FAILURES_TO_OPEN):
            await cache.get_many([b"never cached %d %d" % (number, n) for n in range(9)])
    assert cache.state == "degraded"
    assert "cluster" in cache.problem


async def test_an_acl_of_a_cluster_needs_a_few_commands_or_is_named(
    cluster: list[RedisServer], open_scores: Opener
) -> None:
    needed = ["+mget", "+set", "+get", "+command", "+cluster|slots"]
    for node in cluster:
        with Redis.from_url(node.url) as client:
            for name, rules in {"enough": needed, "few": needed[:-1]}.items():
                user = [name, "on", ">pw", "~sentiment:*", "-@all", *rules]
                client.execute_command("ACL SETUSER", *user)
    cache = open_scores(f"redis://enough:pw@127.0.0.1:{cluster[0].port}/0")
    await cache.probe()
    assert (cache.state, cache.problem) == ("ok", "")
    few = f"redis://few:pw@127.0.0.1:{cluster[0].port}/0"
    assert "+cluster|slots" in await problem_of(few, open_scores)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options for a server with a certificate that it has signed itself."""
    key, certificate = (tmp_path_factory.mktemp("tls") / name for name in ("key", "certificate"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return ["--tls-cert-file", str(certificate), "--tls-key-file", str(key),
            "--tls-ca-cert-file", str(certificate)]  # fmt: skip


async def problem_of(url: str, open_scores: Opener) -> str:
    """Return the words for what is wrong, which are the same however often a call is tried."""
    cache = open_scores(url, cache_timeout_s=0.1)
    states = []
    async with asyncio.timeout(GUARD_S):
        for number in range(FAILURES_TO_OPEN):
            await cache.set_many(scores([number]))
        for number in range(2 * FAILURES_TO_OPEN):
            await cache.probe()
            states.append(cache.state)
            await cache.get_many([b"never cached %d" % number])
            states.append(cache.state)
            await cache.set_many(scores([100 + number]))
            states.append(cache.state)
    assert set(states) == {"degraded"}, "readiness does not flap"
    return cache.problem


@pytest.mark.parametrize(
    "rules", [["-mget", "-get"], ["-set"], ["resetkeys", "~other:*"], ["-@all", "+ping"]]
)
async def test_an_acl_that_forbids_a_command_or_the_keys_is_named(
    redis_server: RedisServer, open_scores: Opener, rules: list[str]
) -> None:
    with Redis.from_url(redis_server.url) as client:
        client.execute_command("ACL SETUSER", "some", "on", ">pw", "~*", "+@all", *rules)
    url = f"redis://some:pw@127.0.0.1:{redis_server.port}/0"
    assert "+mget +set ~sentiment:*" in await problem_of(url, open_scores)


async def test_an_acl_needs_no_other_command(
    redis_server: RedisServer, open_scores: Opener
) -> None:
    rules = ["on", ">pw", "~*", "-@all", "+mget", "+set"]
    with Redis.from_url(redis_server.url) as client:
        client.execute_command("ACL SETUSER", "some", *rules)
    cache = open_scores(f"redis://some:pw@127.0.0.1:{redis_server.port}/0")
    await cache.probe()
    await cache.set_many(ITEMS)
    assert cache.state == "ok"
    assert await open_scores(redis_server.url).get_many(list(ITEMS)) == ITEMS


async def answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def test_a_sentinel_is_named(open_scores: Opener, tmp_path: Path) -> None:
    configuration = tmp_path / "sentinel.conf"
    configuration.touch()
    port = free_port()
    arguments = [str(configuration), "--sentinel", "--port", str(port), "--bind", "127.0.0.1"]
    command = [redis_binary(), *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as sentinel:
        try:
            async with asyncio.timeout(GUARD_S):
                while not await answers(port):
                    await asyncio.sleep(0.05)
            problem = await problem_of(f"redis://127.0.0.1:{port}/0", open_scores)
        finally:
            sentinel.kill()
    assert "sentinel" in problem


async def test_tls_that_does_not_fit_is_named(
    open_scores: Opener, certificate: list[str], redis_server: RedisServer
) -> None:
    port = free_port()
    with RedisServer("--tls-port", str(port), *certificate):
        assert "TLS, rediss://" in await problem_of(f"redis://127.0.0.1:{port}/0", open_scores)
        unknown = await problem_of(f"rediss://127.0.0.1:{port}/0", open_scores)
        assert "ssl_ca_certs" in unknown
    plain = redis_server.url.replace("redis:", "rediss:")
    assert "does it speak TLS?" in await problem_of(plain, open_scores)


async def test_a_database_that_is_not_there_is_named(
    open_scores: Opener, redis_server: RedisServer, cluster: list[RedisServer]
) -> None:
    missing = redis_server.url.removesuffix("0") + "99"
    assert "no database of this number" in await problem_of(missing, open_scores)
    of_cluster = cluster[0].url.removesuffix("0") + "1"
    assert "the database 0 alone" in await problem_of(of_cluster, open_scores)
