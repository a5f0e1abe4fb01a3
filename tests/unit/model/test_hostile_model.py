"""Model directories from somebody who means harm: they end in one line, and run nothing."""

import json
import math
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from serve_app.engine.tokenizer import Tokenizer
from serve_app.errors import ModelUnusable
from serve_app.model.onnx_bundle import REPORT, OnnxBundle
from serve_app.model.store import resolve

SECRET = "s3cret-of-another-file"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=5,
)
KEYS = ["architectures", "id2label", "num_labels", "max_position_embeddings", "pad_token_id"]
KEYS += ["model_type", "problem_type", "num_attention_heads"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@example("model_type", "x", -math.inf)
@example("model_type", "x", math.nan)
@example("num_labels", 10**12, None)
@example("num_labels", -1, None)
@example("pad_token_id", 10**30, None)
@example("num_attention_heads", 10**400, None)
@given(st.sampled_from(KEYS), JSON, JSON)
def test_a_value_of_any_form_is_read_or_refused(
    model_directory: Path, key: str, value: Any, stated: Any
) -> None:
    path = model_directory / "config.json"
    original = path.read_text()
    tokenizer_config = model_directory / "tokenizer_config.json"
    try:
        config = json.loads(original) | {key: value}
        if key == "num_labels":
            del config["id2label"]
        path.write_text(json.dumps(config))
        tokenizer_config.write_text(json.dumps({"model_max_length": stated}))
        model = resolve(str(model_directory))
        Tokenizer(model)
        assert model.max_tokens >= 3
        assert model.pad_id < 2**31
    except ModelUnusable:
        pass
    finally:
        path.write_text(original)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", ["[" * 200_000, '{"a":' * 200_000, "9" * 10_000])
def test_deep_and_huge_json_is_refused(model_directory: Path, name: str, content: str) -> None:
    (model_directory / name).write_text(content)
    with pytest.raises(ModelUnusable, match=name):
        resolve(str(model_directory))


def test_a_deep_report_is_refused(tmp_path: Path) -> None:
    (tmp_path / REPORT).write_text("[" * 200_000)
    with pytest.raises(ModelUnusable, match=REPORT):
        OnnxBundle.read(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_link_to_another_file_reveals_nothing_of_it(
    model_directory: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "secret").write_text(SECRET)
    (model_directory / name).unlink()
    (model_directory / name).symlink_to(tmp_path / "secret")
    with pytest.raises(ModelUnusable) as refused:
        Tokenizer(resolve(str(model_directory)))
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "header",
    [
        {"w": {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 2**62]}},
        {"w": {"dtype": "F32", "shape": [2**63, 4], "data_offsets": [0, 0]}},
        {"w": {"dtype": "F32", "shape": [1], "data_offsets": [-8, 4]}},
        {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "v": {}},
    ],
)
def test_a_giant_or_overlapping_tensor_is_refused(
    model_directory: Path, header: dict[str, Any]
) -> None:
    written = json.dumps(header).encode()
    file = model_directory / "model.safetensors"
    file.write_bytes(struct.pack("<Q", len(written)) + written + bytes(4))
    with pytest.raises(ModelUnusable, match=r"model\.safetensors"):
        resolve(str(model_directory))


def test_a_giant_header_is_refused(model_directory: Path) -> None:
    (model_directory / "model.safetensors").write_bytes(struct.pack("<Q", 2**40))
    with pytest.raises(ModelUnusable, match=r"model\.safetensors"):
        resolve(str(model_directory))


@pytest.mark.slow
def test_a_model_that_brings_code_is_prepared_without_it(
    model_directory: Path, tmp_path: Path
) -> None:
    (model_directory / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    path = model_directory / "config.json"
    code = {"auto_map": {"AutoConfig": "evil.C", "AutoModelForSequenceClassification": "evil.M"}}
    path.write_text(json.dumps(json.loads(path.read_text()) | code | {"custom_pipelines": code}))
    done = subprocess.run(
        [sys.executable, "-m", "serve_app.cli", "model", "prepare", str(model_directory)],
        env=os.environ | {"SENTIMENT_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "ran").exists()
