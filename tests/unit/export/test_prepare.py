import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from serve_app.client import Prediction
from serve_app.engine.engine import load_engine
from serve_app.engine.tokenizer import Tokenizer
from serve_app.errors import ModelUnusable
from serve_app.export.prepare import prepare, resolve_engine
from serve_app.files.local import LocalScorer
from serve_app.model.onnx_bundle import (
    ENGINES,
    OnnxBundle,
    cache_directory,
    find_bundle,
    onnx_directory,
    parity_table,
)
from serve_app.model.parity import Parity
from serve_app.model.store import ModelIdentity, resolve
from serve_app.settings import EngineChoice, EngineName

pytest.importorskip("torch")

FAITHFUL = Parity(100, 0, 0, 0, 0)
UNFAITHFUL = Parity(100, 0.5, 0.5, 0.5, 0.5)


def no_progress(line: str) -> None:
    del line


def test_preparing_makes_verified_engines_that_agree_with_torch(
    model: ModelIdentity, cache_dir: Path
) -> None:
    lines: list[str] = []
    bundle = prepare(model, lines.append)
    assert bundle.directory.parent == cache_dir
    assert lines[0] == "exporting to ONNX"
    texts = ["the film was very good", "i hate it", "", "bad " * 200]
    token_ids = [tokens.ids for tokens in Tokenizer(model).encode(texts)]
    reference = load_engine(model, "torch", threads=1).logits(token_ids)
    assert load_engine(model, "onnx-fp32", threads=1).logits(token_ids) == pytest.approx(
        reference, abs=1e-5
    )
    assert bundle.parity["onnx-int8"].variance < 1e-3


@pytest.mark.slow
def test_preparing_twice_does_the_work_once(model: ModelIdentity, cache_dir: Path) -> None:
    first = prepare(model, no_progress)
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
def test_a_half_written_bundle_is_not_found(model: ModelIdentity, cache_dir: Path) -> None:
    cache_directory(model).mkdir(parents=True)
    (cache_directory(model) / "onnx-int8.onnx").touch()
    assert find_bundle(model) is None
    assert prepare(model, no_progress).parity["onnx-fp32"].flips == 0


@pytest.mark.slow
def test_a_bundle_in_the_models_directory_is_preferred(
    model: ModelIdentity, cache_dir: Path
) -> None:
    prepare(model, no_progress, beside=True)
    found = find_bundle(model)
    assert found is not None
    assert found.directory == onnx_directory(model)


def test_an_fp32_file_is_kept_where_int8_fails(
    model: ModelIdentity, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a graph that\nnobody knows")

    monkeypatch.setattr("serve_app.export.quantize.quantize_int8", fail)
    bundle = prepare(model, no_progress)
    assert bundle.default_engine == resolve_engine(model, "auto", no_progress) == "onnx-fp32"
    assert "ZeroDivisionError: a graph that |" in parity_table(bundle)
    with pytest.raises(ModelUnusable, match=r"onnx-int8 could not be made .*: ZeroDivisionError"):
        resolve_engine(model, "onnx-int8", no_progress)


def test_a_model_that_cannot_be_exported_is_refused_with_a_way_out(
    model: ModelIdentity, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("step 1 of 3 failed\nlong text") from KeyError("the cause")

    monkeypatch.setattr("serve_app.export.export.export_onnx", fail)
    with pytest.raises(ModelUnusable, match="cannot export tiny: KeyError: 'the cause'") as refused:
        prepare(model, no_progress)
    assert "engine: torch" in refused.value.hint
    assert find_bundle(model) is None


@pytest.mark.slow
def test_a_multi_label_model_is_verified_by_its_sigmoids(
    model_directory: Path, cache_dir: Path, tmp_path: Path
) -> None:
    config = json.loads((model_directory / "config.json").read_text())
    config["problem_type"] = "multi_label_classification"
    (model_directory / "config.json").write_text(json.dumps(config))
    prepare(resolve(str(model_directory)), no_progress)
    scorer = LocalScorer(str(model_directory), "onnx-fp32", no_progress)
    transformers = pytest.importorskip("transformers")
    pipeline = transformers.pipeline("text-classification", str(model_directory), top_k=None)
    texts = ["the film was very good", "i hate it"]
    for outcome, expected in zip(scorer.score(texts), pipeline(texts), strict=True):
        assert isinstance(outcome, Prediction)
        assert list(outcome.scores) == [each["label"] for each in expected]
        assert list(outcome.scores.values()) == pytest.approx([each["score"] for each in expected])


def write_bundle(model: ModelIdentity, int8: Parity) -> OnnxBundle:
    directory = cache_directory(model)
    directory.mkdir(parents=True)
    for name in ENGINES:
        (directory / f"{name}.onnx").write_bytes(b"a graph")
    return OnnxBundle.write(directory, {"onnx-fp32": FAITHFUL, "onnx-int8": int8})


@pytest.mark.parametrize(("int8", "chosen"), [(FAITHFUL, "onnx-int8"), (UNFAITHFUL, "onnx-fp32")])
def test_auto_is_int8_where_it_is_faithful_and_else_fp32(
    model: ModelIdentity, cache_dir: Path, int8: Parity, chosen: EngineName
) -> None:
    write_bundle(model, int8)
    assert resolve_engine(model, "auto", no_progress) == chosen


@pytest.mark.slow
def test_a_model_that_was_not_prepared_is_prepared_with_progress_lines(
    model: ModelIdentity, cache_dir: Path
) -> None:
    lines: list[str] = []
    assert resolve_engine(model, "onnx-fp32", lines.append) == "onnx-fp32"
    assert lines[:2] == ["preparing tiny, once:", "  exporting to ONNX"]


def test_a_model_that_cannot_be_prepared_says_why(model: ModelIdentity, cache_dir: Path) -> None:
    (model.path / "config.json").write_text("{}")
    with pytest.raises(ModelUnusable, match=r"cannot prepare tiny: .*not a sequence classifier"):
        resolve_engine(model, "auto", no_progress)


def test_an_unfaithful_engine_is_refused_with_its_figures(
    model: ModelIdentity, cache_dir: Path
) -> None:
    write_bundle(model, UNFAITHFUL)
    with pytest.raises(ModelUnusable, match=r"flips 0\.5 > 0\.007"):
        resolve_engine(model, "onnx-int8", no_progress)


def test_other_files_in_the_onnx_directory_are_ignored(
    model: ModelIdentity, cache_dir: Path
) -> None:
    write_bundle(model, FAITHFUL)
    (model.path / "onnx").mkdir()
    (model.path / "onnx" / "model.onnx").write_bytes(b"a graph")
    assert resolve_engine(model, "auto", no_progress) == "onnx-int8"


@pytest.mark.parametrize("engine", ["auto", "onnx-int8"])
@pytest.mark.parametrize("content", [b"another graph", b"", None])
def test_a_file_that_is_not_the_verified_one_is_refused(
    model: ModelIdentity, cache_dir: Path, engine: EngineChoice, content: bytes | None
) -> None:
    path = write_bundle(model, FAITHFUL).path("onnx-int8")
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    for start in (
        partial(resolve_engine, model, engine, no_progress),
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
        resolve_engine(model, "auto", no_progress)
    assert refused.value.hint == "set SENTIMENT_CACHE_DIR to a directory that can be written"


def test_corrupt_weights_are_reported_in_one_line(model_directory: Path, cache_dir: Path) -> None:
    (model_directory / "model.safetensors").write_bytes(b"\0" * 100)
    command = [sys.executable, "-m", "serve_app.cli", "model", "prepare", str(model_directory)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert "error: cannot read the weights" in run.stderr
