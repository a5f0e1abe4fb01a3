from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("accelerate")

import torch
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from training.base import load_base
from training.model_directory import load_classifier, save_classifier
from training.recipe import PRESETS
from training.soup import main


@pytest.fixture
def classifier(base_directory: Path, tmp_path: Path) -> Callable[[int], Path]:
    def save(seed: int) -> Path:
        path = tmp_path / f"seed{seed}"
        path.mkdir()
        base = load_base(str(base_directory), PRESETS["embedded"].model_copy(update={"seed": seed}))
        save_classifier(base.model, base.tokenizer, "float32", path)
        return path

    return save


def test_the_soup_is_the_mean_with_the_first_ones_tokenizer_and_config(
    classifier: Callable[[int], Path], tmp_path: Path
) -> None:
    models, output = [classifier(seed) for seed in (1, 2, 3)], tmp_path / "soup"

    assert main([*map(str, models), "--output", str(output)]) == 0

    soup, loaded = load_classifier(output), [load_classifier(path) for path in models]
    for name, parameter in soup.named_parameters():
        mean = torch.stack([model.get_parameter(name) for model in loaded]).mean(0)
        torch.testing.assert_close(parameter, mean)
    assert soup.config.id2label == {0: "NEGATIVE", 1: "POSITIVE"}
    text = "a very good film"
    assert AutoTokenizer.from_pretrained(output)(text) == AutoTokenizer.from_pretrained(models[0])(
        text
    )


def test_a_missing_model_is_explained(
    classifier: Callable[[int], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    present = classifier(1)
    capsys.readouterr()
    assert main([str(present), "absent", "--output", str(tmp_path / "soup")]) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("training.soup: no directory at absent: pass")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_an_incomplete_model_is_explained(
    classifier: Callable[[int], Path],
    name: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = classifier(1)
    (path / name).unlink()
    assert main([str(path), "--output", str(tmp_path / "soup")]) == 1
    assert f"{path} has no {name}" in capsys.readouterr().err


def test_models_of_different_shapes_are_refused(
    classifier: Callable[[int], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = BertConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    other = tmp_path / "other"
    BertForSequenceClassification(config).save_pretrained(other)
    assert main([str(classifier(1)), str(other), "--output", str(tmp_path / "soup")]) == 1
    assert f"{other} has another shape" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "soup").exists()
