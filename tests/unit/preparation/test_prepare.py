import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from serve_app.engine.engine import load_engine
from serve_app.engine.tokenizer import Tokenizer
from serve_app.errors import ModelUnusable
from serve_app.export.evaluate import evaluate, read_tsv
from serve_app.export.prepare import prepare, resolve_engine
from serve_app.model.onnx_bundle import (
    ENGINES,
    REPORT,
    OnnxBundle,
    beside_directory,
    cache_directory,
    find,
)
from serve_app.model.parity import Parity
from serve_app.model.store import ModelIdentity
from serve_app.settings import EngineChoice, EngineName

pytest.importorskip("torch")

FAITHFUL = Parity(100, 0, 0, 0, 0)
UNFAITHFUL = Parity(100, 0.5, 0.5, 0.5, 0.5)


def quiet(line: str) -> None:
    del line


def test_preparing_makes_verified_engines_that_agree_with_torch(
    model: ModelIdentity, cache_dir: Path
) -> None:
    lines: list[str] = []
    artefact = prepare(model, lines.append)
    assert artefact.directory.parent == cache_dir
    assert lines[0] == "exporting to ONNX"
    texts = ["the film was very good", "i hate it", "", "bad " * 200]
    token_ids = [tokens.ids for tokens in Tokenizer(model).encode(texts)]
    reference = load_engine(model, "torch", threads=1).logits(token_ids)
    assert load_engine(model, "onnx-fp32", threads=1).logits(token_ids) == pytest.approx(
        reference, abs=1e-5
    )
    assert artefact.fidelity["onnx-int8"].variance < 1e-3


@pytest.mark.slow
def test_preparing_twice_does_the_work_once(model: ModelIdentity, cache_dir: Path) -> None:
    first = prepare(model, quiet)
    lines: list[str] = []
    assert prepare(model, lines.append) == first
    assert lines == [f"already prepared in {first.directory}"]


@pytest.mark.slow
def test_preparing_at_the_same_time_does_not_corrupt_the_result(
    model: ModelIdentity, cache_dir: Path
) -> None:
    command = [sys.executable, "-m", "serve_app.cli", "model", "prepare", str(model.path)]
    runs = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    printed = [run.communicate()[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert sum("exporting to ONNX" in text for text in printed) == 1
    assert [path.name for path in cache_dir.iterdir() if path.is_dir()] == [
        cache_directory(model).name
    ]


@pytest.mark.slow
def test_a_half_written_artefact_is_not_found(model: ModelIdentity, cache_dir: Path) -> None:
    cache_directory(model).mkdir(parents=True)
    (cache_directory(model) / "onnx-int8.onnx").touch()
    assert find(model) is None
    assert prepare(model, quiet).fidelity["onnx-fp32"].flips == 0


@pytest.mark.slow
def test_an_artefact_beside_the_model_is_preferred(model: ModelIdentity, cache_dir: Path) -> None:
    prepare(model, quiet, beside=True)
    found = find(model)
    assert found is not None
    assert found.directory == beside_directory(model)


def written(model: ModelIdentity, int8: Parity) -> OnnxBundle:
    directory = cache_directory(model)
    directory.mkdir(parents=True)
    for name in ENGINES:
        (directory / f"{name}.onnx").write_bytes(b"a graph")
    return OnnxBundle.write(directory, {"onnx-fp32": FAITHFUL, "onnx-int8": int8})


@pytest.mark.parametrize(("int8", "chosen"), [(FAITHFUL, "onnx-int8"), (UNFAITHFUL, "onnx-fp32")])
def test_auto_takes_int8_only_where_it_is_faithful(
    model: ModelIdentity, cache_dir: Path, int8: Parity, chosen: EngineName
) -> None:
    written(model, int8)
    assert resolve_engine(model, "auto", quiet) == chosen


@pytest.mark.slow
def test_a_model_that_was_not_prepared_is_prepared_apart_and_in_sight(
    model: ModelIdentity, cache_dir: Path
) -> None:
    lines: list[str] = []
    assert resolve_engine(model, "onnx-fp32", lines.append) == "onnx-fp32"
    assert lines[:2] == ["preparing tiny, once:", "  exporting to ONNX"]


def test_a_model_that_cannot_be_prepared_says_why(model: ModelIdentity, cache_dir: Path) -> None:
    (model.path / "config.json").write_text("{}")
    with pytest.raises(ModelUnusable, match=r"cannot prepare tiny: .*not a sequence classifier"):
        resolve_engine(model, "auto", quiet)


def test_an_unfaithful_engine_is_refused_with_its_figures(
    model: ModelIdentity, cache_dir: Path
) -> None:
    written(model, UNFAITHFUL)
    with pytest.raises(ModelUnusable, match=r"flips 0\.5 > 0\.007"):
        resolve_engine(model, "onnx-int8", quiet)


def test_a_broken_report_says_what_to_remove(model: ModelIdentity, cache_dir: Path) -> None:
    (written(model, FAITHFUL).directory / REPORT).write_text("{}")
    with pytest.raises(ModelUnusable, match="remove"):
        find(model)


def test_an_onnx_folder_of_somebody_elses_is_no_sign_of_another_model(
    model: ModelIdentity, cache_dir: Path
) -> None:
    written(model, FAITHFUL)
    (model.path / "onnx").mkdir()
    (model.path / "onnx" / "model.onnx").write_bytes(b"a graph")
    assert resolve_engine(model, "auto", quiet) == "onnx-int8"


@pytest.mark.parametrize("engine", ["auto", "onnx-int8"])
@pytest.mark.parametrize("content", [b"another graph", b"", None])
def test_a_file_that_is_not_the_verified_one_is_refused(
    model: ModelIdentity, cache_dir: Path, engine: EngineChoice, content: bytes | None
) -> None:
    path = written(model, FAITHFUL).path("onnx-int8")
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    for start in (
        partial(resolve_engine, model, engine, quiet),
        partial(load_engine, model, "onnx-int8", threads=1),
    ):
        with pytest.raises(ModelUnusable, match=r"onnx-int8\.onnx") as refused:
            start()
        assert "sentiment model prepare" in refused.value.hint


def test_a_cache_directory_that_cannot_be_written_says_which_and_what_to_do(
    model: ModelIdentity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file in its place stops root too.
    (tmp_path / "file").touch()
    monkeypatch.setenv("SENTIMENT_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.raises(
        ModelUnusable, match=r"cannot prepare tiny: cannot write .*/file"
    ) as refused:
        resolve_engine(model, "auto", quiet)
    assert refused.value.hint == "set SENTIMENT_CACHE_DIR to a directory that can be written"


def test_corrupt_weights_are_one_clear_line(model_directory: Path, cache_dir: Path) -> None:
    (model_directory / "model.safetensors").write_bytes(b"\0" * 100)
    command = [sys.executable, "-m", "serve_app.cli", "model", "prepare", str(model_directory)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert "error: cannot read the weights" in run.stderr


@pytest.mark.slow
def test_evaluation_counts_right_labels_and_flips(
    model: ModelIdentity, cache_dir: Path, tmp_path: Path
) -> None:
    prepare(model, quiet)
    data = tmp_path / "data.tsv"
    data.write_text('text\tlabel\nthe film was "good\tpositive\nbad\t0\ni love it\t1\n')
    torch, fp32, int8 = evaluate(model, data, quiet)
    texts, labels = read_tsv(data, model.labels)
    token_ids = [tokens.ids for tokens in Tokenizer(model).encode(texts)]
    logits = load_engine(model, "torch", threads=1).logits(token_ids)
    assert texts[0] == 'the film was "good'
    assert torch.accuracy == np.mean(logits.argmax(axis=1) == labels)
    assert (torch.flips, fp32.flips, fp32.accuracy) == (0, 0, torch.accuracy)
    assert int8.texts == 3
