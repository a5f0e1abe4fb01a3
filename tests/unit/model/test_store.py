import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from serve_app.errors import ModelUnusable
from serve_app.model import store
from serve_app.model.store import resolve


def edit(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def test_a_directory_is_read(model_directory: Path) -> None:
    model = resolve(str(model_directory))
    assert (model.model_id, model.labels, model.max_tokens) == (
        "tiny",
        ("NEGATIVE", "POSITIVE"),
        64,
    )
    assert model.revision == model.digest[:12]


def test_the_digest_depends_on_the_content_not_the_place(model_directory: Path) -> None:
    copy = shutil.copytree(model_directory, model_directory.parent / "copy")
    before = resolve(str(model_directory)).digest
    assert resolve(str(copy)).digest == before
    edit(copy / "config.json", id2label={"0": "BAD", "1": "GOOD"})
    assert resolve(str(copy)).digest != before


def test_labels_left_out_of_the_configuration_are_the_default_two(model_directory: Path) -> None:
    edit(model_directory / "config.json", id2label=None, label2id=None)
    assert resolve(str(model_directory)).labels == ("LABEL_0", "LABEL_1")


def test_roberta_reads_fewer_tokens_than_it_has_positions(model_directory: Path) -> None:
    (model_directory / "tokenizer_config.json").unlink()
    edit(model_directory / "config.json", model_type="xlm-roberta", pad_token_id=1)
    assert resolve(str(model_directory)).max_tokens == 62


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"architectures": ["DistilBertForMaskedLM"]}, "not a sequence classifier"),
        ({"id2label": {"1": "A", "2": "B"}}, "id2label"),
        ({"id2label": {"0": "ONLY"}}, "id2label"),
        ({"id2label": {"a": "A", "b": "B"}}, "id2label"),
        ({"architectures": []}, "names no architecture"),
        ({"max_position_embeddings": None}, "max_position_embeddings"),
    ],
)
def test_a_model_that_is_not_a_classifier_is_refused(
    model_directory: Path, change: dict[str, Any], reason: str
) -> None:
    edit(model_directory / "config.json", **change)
    with pytest.raises(ModelUnusable, match=reason):
        resolve(str(model_directory))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
@pytest.mark.parametrize("content", [None, b"{", b"[]", b"\xff"])
def test_a_missing_or_broken_file_is_named(
    model_directory: Path, name: str, content: bytes | None
) -> None:
    (model_directory / name).unlink()
    if content is not None:
        (model_directory / name).write_bytes(content)
    with pytest.raises(ModelUnusable, match=name):
        resolve(str(model_directory))


def test_pickled_weights_are_refused(model_directory: Path) -> None:
    (model_directory / "model.safetensors").rename(model_directory / "pytorch_model.bin")
    with pytest.raises(ModelUnusable, match=r"\*\.safetensors"):
        resolve(str(model_directory))


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="no model directory"):
        resolve(str(tmp_path / "nowhere"))


def test_an_installed_package_refuses_the_embedded_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "EMBEDDED", tmp_path / "site-packages" / "models" / "embedded")
    with pytest.raises(ModelUnusable, match="comes with a checkout") as refused:
        resolve("embedded")
    assert "$SENTIMENT_MODEL" in refused.value.hint


def hub_info(source: str, hub_cache: Path) -> "subprocess.CompletedProcess[str]":
    # In a process of its own, because the hub client reads its environment when imported.
    return subprocess.run(
        [sys.executable, "-m", "serve_app.cli", "model", "info", source],
        env={"HF_HUB_CACHE": str(hub_cache), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_hub_model_is_named_by_its_id_and_commit(model_directory: Path, tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshots = tmp_path / "hub" / "models--somebody--tiny" / "snapshots"
    shutil.copytree(model_directory, snapshots / commit)
    (snapshots.parent / "refs").mkdir()
    (snapshots.parent / "refs" / "v1").write_text(commit)
    for revision in (commit, "v1"):
        info = hub_info(f"somebody/tiny@{revision}", tmp_path / "hub")
        assert "model_id   somebody/tiny\n" in info.stdout
        assert f"revision   {commit}\n" in info.stdout


def test_a_hub_model_that_cannot_be_fetched_is_reported_in_one_line(tmp_path: Path) -> None:
    info = hub_info("somebody/absent@v1", tmp_path)
    assert info.returncode == 1
    assert info.stderr.startswith("error: cannot get somebody/absent@v1 from the model hub")
    assert "Traceback" not in info.stderr
