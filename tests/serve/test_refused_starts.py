"""Starts that cannot work: `sentiment serve` ends by itself, and says why and what to do."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loadtest.configs import configured
from loadtest.service import Service
from serve_app.model.onnx_bundle import ENGINES, OnnxBundle, onnx_directory
from serve_app.model.parity import Parity
from serve_app.model.store import resolve

pytestmark = pytest.mark.serve


@pytest.fixture
def config(tmp_path: Path, model_directory: Path, warm_cache: Path) -> Path:
    return configured(tmp_path, {"model": str(model_directory)})


def ended(config: Path, **environment: str) -> str:
    """Start a service that cannot start, and return what it prints."""
    service = Service(config, **environment)
    assert service.wait() == 1
    assert service.processes() == []
    assert [line.partition(":")[0] for line in service.printed[-2:]] == ["error", "hint"]
    return "".join(service.printed)


def refused(config: Path, **environment: str) -> str:
    """Start a service that is refused before anything is deployed, and return what it prints."""
    printed = ended(config, **environment)
    assert "Traceback" not in printed
    return printed


@pytest.mark.slow
def test_replicas_that_do_not_fit_the_machine_are_refused(config: Path) -> None:
    config.write_text(config.read_text().replace("num_cpus: 0.7", "num_cpus: 1000"))
    assert "error: the replicas need 1000.2 CPUs" in refused(config)


def test_a_temporary_directory_that_cannot_be_written_is_named(config: Path) -> None:
    # A file in its place stops root too.
    printed = refused(config, TMPDIR="/dev/null")
    assert "error: cannot make a directory in /dev/null: Not a directory" in printed
    assert "hint: set TMPDIR to a directory that can be written" in printed


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_taken_port_is_refused_at_once(config: Path, listener: int) -> None:
    text = config.read_text()
    port = text.split("port: ")[1].split()[0]
    config.write_text(text.replace(port, str(listener)))
    assert f"error: cannot listen on 127.0.0.1:{listener}" in refused(config)


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        ({"model": "/nowhere"}, "error: no model directory at /nowhere"),
        ({"modle": "x"}, "applications.0.args.modle: Extra inputs are not permitted"),
        ({"cache": "env:NOT_SET_ANYWHERE"}, "$NOT_SET_ANYWHERE, which is not set"),
        (
            {"cache": "redis://:secret@h"},
            "a password or option does not belong in a configuration file",
        ),
    ],
)
def test_a_start_that_cannot_work_says_why(
    tmp_path: Path, args: dict[str, Any], problem: str
) -> None:
    printed = refused(configured(tmp_path, args))
    assert problem in printed
    assert "secret" not in printed


Damage = Callable[[Path], object]


def cut(name: str) -> Damage:
    """Return what leaves a half of a file."""
    return lambda model: found(model, name).write_bytes(halved(found(model, name).read_bytes()))


def flip(name: str, byte: int) -> Damage:
    """Return what flips a bit of a file."""

    def damage(model: Path) -> None:
        content = bytearray(found(model, name).read_bytes())
        content[byte] ^= 1
        found(model, name).write_bytes(content)

    return damage


def found(model: Path, name: str) -> Path:
    (path,) = model.rglob(name)
    return path


def halved(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        pytest.param(cut("config.json"), "error: cannot read", id="a cut configuration"),
        pytest.param(cut("tokenizer.json"), "error: cannot read", id="a cut tokenizer"),
        pytest.param(cut("model.safetensors"), "cannot read the weights", id="cut weights"),
        pytest.param(
            flip("model.safetensors", 8), "cannot read the weights", id="a bit of their head"
        ),
        pytest.param(
            flip("model.safetensors", -1), "is not the model that", id="a bit of the weights"
        ),
        pytest.param(
            cut("onnx-int8.onnx"), "is not the file that was verified", id="a cut ONNX file"
        ),
        pytest.param(
            flip("onnx-int8.onnx", -1), "is not the file that was verified", id="a bit of it"
        ),
        pytest.param(cut("verification.json"), "error: cannot read", id="a cut manifest"),
    ],
)
def test_a_damaged_model_is_refused(
    tmp_path: Path, model_directory: Path, cache_dir: Path, damage: Damage, problem: str
) -> None:
    seal(model_directory)
    damage(model_directory)
    printed = refused(configured(tmp_path, {"model": str(model_directory), "engine": "onnx-int8"}))
    assert problem in printed


def seal(model_directory: Path) -> None:
    """Put ONNX files beside a model, as an image has them."""
    directory = onnx_directory(resolve(str(model_directory)))
    directory.mkdir(parents=True)
    for engine in ENGINES:
        (directory / f"{engine}.onnx").write_bytes(b"a graph")
    OnnxBundle.write(directory, dict.fromkeys(ENGINES, Parity(100, 0, 0, 0, 0)))


def test_a_cache_of_models_that_cannot_be_written_is_named(config: Path, tmp_path: Path) -> None:
    # A file in its place stops root too.
    (tmp_path / "file").touch()
    printed = refused(config, SENTIMENT_CACHE_DIR=str(tmp_path / "file" / "cache"))
    assert f"cannot write {tmp_path}/file" in printed
    assert "hint: set SENTIMENT_CACHE_DIR to a directory that can be written" in printed


@pytest.mark.slow
def test_an_error_in_a_replica_ends_the_start_too(tmp_path: Path, model_directory: Path) -> None:
    """The weights do not fit the configuration; Serve prints the traceback first."""
    path = model_directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"hidden_dim": 48}))
    printed = ended(configured(tmp_path, {"model": str(model_directory), "engine": "torch"}))
    assert len([line for line in printed.splitlines() if line.startswith("error: ")]) == 1
    assert "Traceback (most recent call last):" in printed.split("\nerror: ")[0]
