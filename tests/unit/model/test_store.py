import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.utils._paths import filter_repo_objects

from serve_app.errors import ModelUnusable
from serve_app.model import store
from serve_app.model.config import MAX_ATTENTION_BYTES
from serve_app.model.store import INDEX, resolve


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


@pytest.mark.parametrize(
    ("settings", "max_tokens"),
    [
        ({"model_max_length": 9}, 9),
        ({"model_max_length": 12.0}, 12),
        ({"model_max_length": 1e30}, 64),
        ({"model_max_length": None}, 64),
        ({"model_max_length": float("inf")}, 64),
        ({"model_max_length": float("nan")}, 64),
    ],
)
def test_the_tokenizer_may_shorten_texts_and_changes_the_digest(
    model_directory: Path, settings: dict[str, Any], max_tokens: int
) -> None:
    before = resolve(str(model_directory)).digest
    edit(model_directory / "tokenizer_config.json", **settings)
    after = resolve(str(model_directory))
    assert after.max_tokens == max_tokens
    assert after.digest != before


@pytest.mark.parametrize("stated", ["512", -1, 0, True, [], 2])
def test_a_length_that_means_nothing_is_refused(model_directory: Path, stated: object) -> None:
    edit(model_directory / "tokenizer_config.json", model_max_length=stated)
    with pytest.raises(ModelUnusable, match=r"model_max_length|reads -?\d+ tokens"):
        resolve(str(model_directory))


@pytest.mark.parametrize(
    "name",
    ["special_tokens_map.json", "added_tokens.json", "vocab.txt", "merges.txt", "spiece.model"],
)
def test_the_digest_covers_every_file_of_the_tokenizer(model_directory: Path, name: str) -> None:
    before = resolve(str(model_directory)).digest
    (model_directory / "README.md").write_text("not a part of the model")
    assert resolve(str(model_directory)).digest == before
    (model_directory / name).write_text("{}")
    assert resolve(str(model_directory)).digest != before


def test_num_labels_alone_counts_the_default_labels(model_directory: Path) -> None:
    edit(model_directory / "config.json", id2label=None, label2id=None, num_labels=2)
    assert resolve(str(model_directory)).labels == ("LABEL_0", "LABEL_1")


def test_a_multi_label_model_answers_sigmoids(model_directory: Path) -> None:
    assert resolve(str(model_directory)).transform == "softmax"
    edit(model_directory / "config.json", problem_type="multi_label_classification")
    assert resolve(str(model_directory)).transform == "sigmoid"


def test_attention_that_does_not_fit_shortens_texts(model_directory: Path) -> None:
    edit(model_directory / "tokenizer_config.json", model_max_length=None)
    edit(model_directory / "config.json", max_position_embeddings=8192, n_heads=12)
    model = resolve(str(model_directory))
    assert model.max_tokens == 2364
    assert (
        12 * model.max_tokens**2 * 16 <= MAX_ATTENTION_BYTES < 12 * (model.max_tokens + 1) ** 2 * 16
    )


def test_an_adapter_is_refused(model_directory: Path) -> None:
    (model_directory / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelUnusable, match="is an adapter"):
        resolve(str(model_directory))


def test_a_path_that_exists_is_a_directory(
    model_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model_directory.parent.parent)
    assert resolve(f"{model_directory.parent.name}/tiny").path == model_directory


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
        ({"problem_type": "regression"}, "problem_type is 'regression'"),
        ({"problem_type": "regression", "id2label": {"0": "ONLY"}}, "problem_type"),
        ({"id2label": ["A", "B"]}, "id2label is a list"),
        ({"id2label": {"0": "A", "2": "B"}}, "id2label does not number"),
        ({"id2label": {"0": "A", "1": "A"}}, "id2label has the name 'A' twice"),
        ({"id2label": {"0": "A", "1": "B", "2": "C"}}, "3 labels, but .* has 2 rows"),
        ({"id2label": None, "num_labels": 3}, "3 labels, but classifier.weight has 2 rows"),
        ({"id2label": None, "num_labels": 1}, "does not number two or more"),
        ({"num_labels": 3}, "num_labels is 3, and id2label has 2"),
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


def test_folders_of_checkpoints_are_not_fetched(
    model_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["config.json", "tokenizer.json", "model.safetensors", "spiece.model", INDEX,
             "checkpoint-5/model.safetensors", "onnx/model.onnx", "pytorch_model.bin"]  # fmt: skip

    def snapshot_download(_: str, **options: Any) -> str:
        del options["revision"]
        assert sorted(filter_repo_objects(names, **options)) == sorted(names[:5])
        return str(model_directory)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert resolve("somebody/tiny").model_id == "somebody/tiny"


def test_a_hub_model_that_cannot_be_fetched_is_reported_in_one_line(tmp_path: Path) -> None:
    info = hub_info("somebody/absent@v1", tmp_path)
    assert info.returncode == 1
    assert info.stderr.startswith("error: cannot get somebody/absent@v1 from the model hub")
    assert "Traceback" not in info.stderr
