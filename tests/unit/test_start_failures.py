"""What a start refuses before Ray is started: one line that says why, one that says what to do."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve._private import constants

from loadtest.configs import configured
from serve_app.errors import StartupError
from serve_app.model.onnx_bundle import ENGINES, OnnxBundle, cache_directory
from serve_app.model.parity import Parity
from serve_app.model.store import resolve
from serve_app.ray_serve import run
from serve_app.ray_serve.config import ServeConfig, read

Change = Callable[[Any], None]
GATEWAY = 0


@pytest.fixture(autouse=True)
def _no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def deploy(path: Path, config: ServeConfig) -> None:
        raise AssertionError("Ray would have been started")

    monkeypatch.setattr(run, "deploy", deploy)


@pytest.fixture
def config(tmp_path: Path, model_directory: Path, cache_dir: Path) -> Path:
    """A configuration that can be served, of a model whose ONNX files are in place."""
    model = resolve(str(model_directory))
    directory = cache_directory(model)
    directory.mkdir(parents=True)
    for engine in ENGINES:
        (directory / f"{engine}.onnx").write_bytes(b"a graph")
    faithful = Parity(100, 0, 0, 0, 0)
    OnnxBundle.write(directory, dict.fromkeys(ENGINES, faithful))
    return configured(tmp_path, {"model": str(model_directory)})


def refusal(config: Path) -> StartupError:
    with pytest.raises(StartupError) as caught:
        run.run(config)
    error = caught.value
    assert error.problem and "\n" not in error.problem
    assert error.hint and "\n" not in error.hint
    assert error.exit_status != 0
    return error


def test_what_is_in_order_is_started(config: Path) -> None:
    with pytest.raises(AssertionError, match="Ray would have been started"):
        run.run(config)


def in_args(**args: Any) -> Change:
    return lambda content: content["applications"][0]["args"].update(args)


def in_gateway(**settings: Any) -> Change:
    return lambda content: content["applications"][0]["deployments"][GATEWAY]["user_config"].update(
        settings
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (in_args(modle="x"), "args.modle: Extra inputs"),
        (in_args(engine="onnx-int4"), "args.engine: Input should be 'onnx-int8', 'onnx-fp32'"),
        (in_args(cache="redis://:secret@host"), "args.cache: a password"),
        (in_args(cache="http://host"), "args.cache: a cache URL is"),
        (in_args(cache="env:NOT_SET"), "$NOT_SET, which is not set"),
        (in_args(cache="env:BAD_URL"), "env:BAD_URL: a cache URL is"),
        (in_args(model="/nowhere"), "no model directory at /nowhere"),
        (in_args(model="env:NOT_SET"), "$NOT_SET, which is not set"),
        (in_args(model="a/b", production=True), "graceful_shutdown_timeout_s"),
        (in_gateway(max_texts=0), "user_config.max_texts: "),
        (in_gateway(api_keys=["secret"]), "user_config.api_keys.0: not the hash"),
        (lambda content: content.update(allowed_hosts=["a b"]), "allowed_hosts.0: "),
        (lambda content: content.update(allowed_hosts=["a:80"]), "allowed_hosts.0: "),
        (in_gateway(cors_origins=["page"]), "user_config.cors_origins.0: an origin is"),
        (lambda content: content.update(proxy_location="Nowhere"), "proxy_location: "),
        (lambda content: content.update(environment={"PATH": "/"}), "environment: only RAY_*"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_place(
    config: Path, monkeypatch: pytest.MonkeyPatch, change: Change, problem: str
) -> None:
    monkeypatch.setenv("BAD_URL", "redis://:secret@host:nowhere")
    content = read(config)
    change(content)
    config.write_text(yaml.safe_dump(content))
    error = refusal(config)
    assert problem in error.problem
    assert "secret" not in str(error)


# Each line names the one before nine times: https://en.wikipedia.org/wiki/Billion_laughs_attack
LAUGHS = "a0: &a0 [ha]\n" + "".join(
    f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(30)
)


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"a: [",
        b"\xff",
        b"[]",
        b"[" * 100_000,
        b"a: 2026-99-99",
        b"a: " + b"9" * 10_000,
        b"a: !!python/object/apply:os.system [exit 7]",
        b"? [a]\n: b",
        LAUGHS.encode(),
    ],
    ids=[
        "none",
        "torn",
        "bytes",
        "a list",
        "deep",
        "a date",
        "a number",
        "code",
        "a key",
        "laughs",
    ],
)
def test_what_is_no_configuration_is_refused(config: Path, content: bytes | None) -> None:
    config.unlink()
    if content is not None:
        config.write_bytes(content)
    assert str(config) in refusal(config).problem


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.mark.parametrize("key", ["http_options.port", "metrics_port"])
def test_a_port_that_is_taken_is_named_with_its_key(config: Path, taken: int, key: str) -> None:
    content = read(config)
    *parents, name = key.split(".")
    (content[parents[0]] if parents else content)[name] = taken
    config.write_text(yaml.safe_dump(content))
    error = refusal(config)
    assert f"cannot listen on 127.0.0.1:{taken}" in error.problem
    assert key in error.hint


@pytest.mark.parametrize("name", run.HAPROXY_PORTS)
def test_so_are_those_of_haproxy(
    config: Path, taken: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "RAY_SERVE_ENABLE_HA_PROXY", True)
    for each in run.HAPROXY_PORTS:
        monkeypatch.setattr(constants, each, 0)
    monkeypatch.setattr(constants, name, taken)
    assert f"environment.{name}" in refusal(config).hint


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("config.json", None, "holds no config.json"),
        ("config.json", b"{", "cannot read"),
        ("tokenizer.json", None, "holds no tokenizer.json"),
        ("tokenizer.json", b'{"version": "1.0"}', "is not a tokenizer"),
        ("model.safetensors", None, "holds no *.safetensors"),
        ("model.safetensors", b"\0" * 100, "cannot read the weights"),
    ],
)
def test_a_model_that_is_not_whole_is_refused(
    config: Path, model_directory: Path, name: str, content: bytes | None, problem: str
) -> None:
    (model_directory / name).unlink()
    if content is not None:
        (model_directory / name).write_bytes(content)
    assert problem in refusal(config).problem


def test_another_onnx_file_than_was_verified_is_refused(config: Path, cache_dir: Path) -> None:
    next(cache_dir.glob("*/onnx-int8.onnx")).write_bytes(b"another graph")
    assert "is not the file that was verified" in refusal(config).problem
