from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("huggingface_hub")

from huggingface_hub import ModelCard

from training.card import write_card
from training.recipe import PRESETS


@pytest.fixture
def metrics() -> dict[str, Any]:
    figures = {
        "examples": 872,
        "accuracy": 0.9014,
        "f1": 0.9022,
        "log_loss": 0.2601,
        "expected_calibration_error": 0.0187,
        "confusion": [[380, 48], [38, 406]],
    }
    return {
        "recipe": PRESETS["embedded"].model_dump(),
        "command": "python -m training --preset embedded --train train.tsv",
        "training_examples": 62139,
        "held_out_sentences": 400,
        "training_seconds": 1500,
        "temperature": 0.9123,
        "calibrated_on": "400 training sentences kept back",
        "note": "Stopped early.",
        "history": [
            {"epoch": 0, "step": 154, "accuracy": 0.9014, "log_loss": 0.2601},
            {"epoch": 1, "step": 309, "accuracy": 0.8888, "log_loss": 0.2701},
        ],
        "evaluation": {"dev": figures, "test": figures | {"accuracy": 0.8875}},
        "model_bytes": 46_000_000,
        "libraries": {"torch": "2.13.0"},
    }


def test_the_card_states_figures_recipe_and_command(
    metrics: dict[str, Any], tmp_path: Path
) -> None:
    write_card(metrics, tmp_path / "README.md")
    text = (tmp_path / "README.md").read_text()
    for statement in (
        "| dev | 872 | 0.9014 | 0.8879 | 0.9144 | 0.9022 | 0.2601 | 0.0187 |",
        "| test | 872 | 0.8875 |",
        "A temperature of 0.912, fitted on 400 training sentences",
        "70% to 100% of them are negative in NEGATIVE documents",
        "weights with decay 0.998 from step 150 on; seed 3",
        "converted exactly from BERT to DistilBERT",
        "    python -m training --preset embedded --train train.tsv",
        "after step 154 of epoch 1, the best of 2 validations",
        "the last one was after step 309 of epoch 2.",
        "- Stopped early.",
        "torch 2.13.0",
    ):
        assert statement in text


def test_the_card_has_metadata_that_the_hub_reads(metrics: dict[str, Any], tmp_path: Path) -> None:
    write_card(metrics, tmp_path / "README.md")
    data = ModelCard.load(tmp_path / "README.md").data
    assert data.license == "apache-2.0"
    assert data.base_model == "sentence-transformers/all-MiniLM-L6-v2"
    assert data.datasets == ["stanfordnlp/sst2"]
    assert [result.metric_value for result in data.eval_results] == [0.9014, 0.8875]


def test_a_recipe_without_extras_claims_none(metrics: dict[str, Any], tmp_path: Path) -> None:
    plain = metrics | {
        "recipe": PRESETS["production"].model_dump(),
        "held_out_sentences": 0,
        "calibrated_on": "",
    }
    write_card(plain, tmp_path / "README.md")
    text = (tmp_path / "README.md").read_text()
    assert "not calibrated" in text
    for absent in (
        "Augmentation",
        "average of the weights",
        "R-Drop",
        "at least 1 words",
        "converted",
        "kept back",
    ):
        assert absent not in text


def test_stages_take_the_place_of_the_command(metrics: dict[str, Any], tmp_path: Path) -> None:
    stages = [
        {"note": "Two runs with different seeds.", "command": "python -m training --seed 1"},
        {"note": "Their mean.", "command": "python -m training.soup one two --output mean"},
    ]
    changes = {"schedule": "constant", "average": "uniform", "least_words": 6}
    recipe = PRESETS["embedded"].model_copy(update=changes)
    refined = {"recipe": recipe.model_dump(), "stages": stages}
    write_card(metrics | refined, tmp_path / "README.md")
    text = (tmp_path / "README.md").read_text()
    words = " ".join(text.split())
    assert "1. Two runs with different seeds.\n\n       python -m training --seed 1\n\n2. " in text
    assert metrics["command"] not in text
    assert "phrases and sentences of at least 6 words" in words
    assert "constant after 5% of the steps" in words
    assert "R-Drop with weight 1 for texts of up to 64 tokens" in words
    assert "uniform average of the weights from step 150 on" in words
