import pytest

from serve_app.api.middleware import check_host, loopback_hosts
from serve_app.errors import MisdirectedRequest
from serve_app.ray_serve.haproxy import ALLOWED_HOSTS, allowed_hosts

OURS = frozenset({"localhost", "127.0.0.1", "[::1]", "lab.example"})


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_a_service_on_loopback_answers_for_loopback_and_its_names(address: str) -> None:
    hosts = loopback_hosts(address, ["lab.example"])
    assert OURS <= set(hosts) <= OURS | {address}


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.1", "node.example", ""])
def test_any_other_service_answers_for_every_host(address: str) -> None:
    assert loopback_hosts(address, ["lab.example"]) == ()


def test_without_its_variable_a_process_answers_for_every_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(ALLOWED_HOSTS, raising=False)
    check_host(request("evil.example"), allowed_hosts())
    monkeypatch.setenv(ALLOWED_HOSTS, "Localhost,127.0.0.1")
    with pytest.raises(MisdirectedRequest):
        check_host(request("evil.example"), allowed_hosts())


def request(*hosts: str) -> dict[str, object]:
    return {"type": "http", "headers": [(b"host", host.encode("latin-1")) for host in hosts]}


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000", "[::1]", "Lab.Example:80"]
)
def test_a_host_of_ours_is_answered_on_whatever_port(host: str) -> None:
    check_host(request(host), OURS)
    check_host(request(), OURS)


@pytest.mark.parametrize(
    "hosts",
    [
        ("evil.example",),
        ("evil.example:8000",),
        ("",),
        ("localhost.evil.example",),
        ("localhost,evil.example",),
        ("evil.example,localhost",),
        ("localhost@evil.example",),
        ("localhost:8000:9",),
        ("localhost:8000.evil.example",),
        ("127.0.0.1.evil.example",),
        ("0.0.0.0",),
        ("localhost\xa0",),
        ("localhost", "evil.example"),
        ("evil.example", "localhost"),
    ],
)
def test_every_other_host_is_refused(hosts: tuple[str, ...]) -> None:
    with pytest.raises(MisdirectedRequest):
        check_host(request(*hosts), OURS)
