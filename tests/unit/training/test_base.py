import io
import json
import shutil
from pathlib import Path
from typing import Literal

import pytest

pytest.importorskip("torch")
pytest.importorskip("accelerate")

import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from transformers import DistilBertConfig, DistilBertForSequenceClassification, PreTrainedModel

from loadtest.ports import free_port
from training.base import BaseError, load_base
from training.model_directory import save_classifier
from training.recipe import PRESETS

RECIPE = PRESETS["embedded"]


def dropouts(model: PreTrainedModel) -> dict[str, float]:
    return {n: m.p for n, m in model.named_modules() if isinstance(m, torch.nn.Dropout)}


@pytest.mark.parametrize("convert", [True, False])
def test_dropouts_follow_the_recipe(base_directory: Path, convert: bool) -> None:
    recipe = RECIPE.model_copy(
        update={"convert": convert, "dropout": 0.3, "attention_dropout": 0.2}
    )
    found = dropouts(load_base(str(base_directory), recipe).model)
    attention = {name for name, p in found.items() if p == 0.2}
    assert len(attention) == 2
    assert all("attention" in name and "output" not in name for name in attention)
    assert {p for name, p in found.items() if name not in attention} == {0.3}


def test_the_architecture_is_kept_unless_converted(base_directory: Path) -> None:
    converted = load_base(str(base_directory), RECIPE).model
    kept = load_base(str(base_directory), RECIPE.model_copy(update={"convert": False})).model
    assert converted.config.model_type == "distilbert"
    assert kept.config.model_type == "bert"
    assert kept.config.id2label == {0: "NEGATIVE", 1: "POSITIVE"}


def test_the_seed_decides_the_head(base_directory: Path) -> None:
    def head(seed: int) -> torch.Tensor:
        recipe = RECIPE.model_copy(update={"seed": seed})
        return load_base(str(base_directory), recipe).model.get_parameter("classifier.weight")

    assert torch.equal(head(1), head(1))
    assert not torch.equal(head(1), head(2))


def test_the_head_of_a_fine_tuned_classifier_is_kept(base_directory: Path, tmp_path: Path) -> None:
    tuned = load_base(str(base_directory), RECIPE)
    save_classifier(tuned.model, tuned.tokenizer, "float16", tmp_path)
    other = RECIPE.model_copy(update={"convert": False, "seed": RECIPE.seed + 1})
    loaded = load_base(str(tmp_path), other).model
    for name, parameter in tuned.model.named_parameters():
        assert torch.equal(loaded.get_parameter(name), parameter.float())


@pytest.mark.parametrize("problem_type", ["single_label_classification", "regression"])
def test_a_base_with_another_number_of_labels_gets_a_new_head(
    base_directory: Path,
    tmp_path: Path,
    problem_type: Literal["single_label_classification", "regression"],
) -> None:
    tuned = load_base(str(base_directory), RECIPE)
    shape = tuned.model.config
    five = DistilBertConfig(**{**shape.to_dict(), "id2label": dict(enumerate("abcde"))})
    five.problem_type = problem_type
    tuned.tokenizer.save_pretrained(tmp_path)
    source = DistilBertForSequenceClassification(five)
    source.save_pretrained(tmp_path)
    keep = RECIPE.model_copy(update={"convert": False})
    loaded = load_base(str(tmp_path), keep).model
    assert loaded.config.id2label == {0: "NEGATIVE", 1: "POSITIVE"}
    assert loaded.config.problem_type == "single_label_classification"
    assert loaded.get_parameter("classifier.weight").shape[0] == 2
    for name, parameter in source.named_parameters():
        if name.startswith("distilbert."):
            assert torch.equal(loaded.get_parameter(name), parameter)


@pytest.mark.parametrize("convert", [True, False])
def test_a_base_without_weights_of_its_body_is_refused(
    base_directory: Path, tmp_path: Path, convert: bool
) -> None:
    shutil.copytree(base_directory, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    name = next(name for name in tensors if "layer.1.output.dense.bias" in name)
    del tensors[name]
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(BaseError, match=r"missing .*layer\.1\.output\.dense\.bias"):
        load_base(str(tmp_path), RECIPE.model_copy(update={"convert": convert}))


@pytest.mark.parametrize("convert", [True, False])
def test_no_code_of_a_base_is_run(
    base_directory: Path, tmp_path: Path, convert: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(base_directory, tmp_path / "base")
    config = tmp_path / "base" / "config.json"
    content = json.loads(config.read_text())
    names = {"AutoConfig": "theirs.C", "AutoModel": "theirs.C"}
    config.write_text(json.dumps(content | {"model_type": "theirs", "auto_map": names}))
    (tmp_path / "base" / "theirs.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 9))
    with pytest.raises(BaseError, match="cannot load"):
        load_base(str(tmp_path / "base"), RECIPE.model_copy(update={"convert": convert}))
    assert not (tmp_path / "ran").exists()


def test_another_number_of_labels_takes_a_new_head(
    base_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned = load_base(str(base_directory), RECIPE)
    save_classifier(tuned.model, tuned.tokenizer, "float32", tmp_path)
    three = RECIPE.model_copy(update={"convert": False, "labels": ("bad", "so-so", "good")})
    model = load_base(str(tmp_path), three).model
    said = "the base has another number of labels than 3: its head is replaced\n"
    assert said in capsys.readouterr().err
    assert model.config.id2label == {0: "bad", 1: "so-so", 2: "good"}
    assert model.get_parameter("classifier.weight").shape[0] == 3
    kept = "distilbert.embeddings.word_embeddings.weight"
    assert torch.equal(model.get_parameter(kept), tuned.model.get_parameter(kept))


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{free_port()}")
    return constants.ENDPOINT


def test_a_missing_base_is_explained(no_hub: str) -> None:
    expected = "pass a model directory, a hub id or embedded as --base-path"
    with pytest.raises(BaseError, match=expected):
        load_base("absent/model/", RECIPE)


def test_a_hub_that_does_not_answer_is_not_asked_again(
    no_hub: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING"), pytest.raises(BaseError) as refused:
        load_base("acme/no-such-model", RECIPE.model_copy(update={"convert": False}))
    assert f"{no_hub} does not answer, and its cache on this machine lacks it" in str(refused.value)
    assert "Retrying" not in caplog.text


def test_only_a_bert_is_converted(base_directory: Path, tmp_path: Path) -> None:
    base = load_base(str(base_directory), RECIPE)
    base.model.save_pretrained(tmp_path)
    base.tokenizer.save_pretrained(tmp_path)
    with pytest.raises(BaseError, match="is not a BERT"):
        load_base(str(tmp_path), RECIPE)
