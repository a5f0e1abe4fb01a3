from pathlib import Path

import pytest

from serve_app.cli.model import info
from serve_app.errors import ModelUnusable
from tests.unit.model.test_store import edit


def test_info_says_on_one_screen_what_was_understood(
    model_directory: Path, cache_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(model_directory / "config.json", problem_type="multi_label_classification")
    info(str(model_directory))
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) <= 24
    for line in (
        "classifier DistilBertForSequenceClassification",
        "labels     NEGATIVE, POSITIVE",
        "head       classifier.weight [2, 32]",
        "scores     sigmoid",
        "max_tokens 64: the model has positions for 64, its tokenizer's model_max_length is 64",
        "tokenizer  tokenizer.json, tokenizer_config.json",
        "settings   do_lower_case True",
        "in model.safetensors",
        "prepared   no",
        "served     with torch, or with ONNX after `sentiment model prepare`",
    ):
        assert f"\n{line}" in printed or printed.count(line) == 1


def test_info_refuses_what_cannot_be_served(model_directory: Path) -> None:
    edit(model_directory / "config.json", problem_type="regression")
    with pytest.raises(ModelUnusable, match="problem_type"):
        info(str(model_directory))
