"""A model of DistilBERT-base size with random weights: speed depends on the shape alone."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from serve_app.model.onnx_bundle import find_bundle
from serve_app.model.store import EMBEDDED, resolve

# Part of the directory's name, so that another recipe makes another model.
RECIPE: Final = "distilbert-base-random-2"
SEED: Final = 0
# Far above the spread of the random logits (about 0.1), so that int8's verification, which counts
# flipped labels, does not toss coins. The scores mean nothing, here or without it.
MARGIN: Final = 2.0


def cache_root() -> Path:
    """Return where the benchmarks keep what they make once: models and peers' environments."""
    stated = os.environ.get("SENTIMENT_BENCH_DIR")
    user_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(stated or Path(user_cache) / "sentiment-bench")


def base_model() -> Path:
    """Return the random model's directory, made and prepared on the first call.

    It has the configuration of `distilbert-base-uncased`, the embedded model's vocabulary, which
    is the same, and ONNX files of its own beside the weights.
    """
    directory = cache_root() / RECIPE
    if not directory.is_dir():
        _write(directory)
    if find_bundle(resolve(str(directory))) is None:
        command = [sys.executable, "-m", "serve_app.cli", "model", "prepare", "--beside"]
        subprocess.run([*command, str(directory)], check=True, stdout=sys.stderr)
    return directory


def _write(directory: Path) -> None:
    # Needed once, and slow to import.
    import torch  # noqa: PLC0415
    from transformers import (  # noqa: PLC0415
        DistilBertConfig,
        DistilBertForSequenceClassification,
    )

    torch.manual_seed(SEED)
    labels = ("NEGATIVE", "POSITIVE")
    model = DistilBertForSequenceClassification(
        DistilBertConfig(
            id2label=dict(enumerate(labels)),
            label2id={label: index for index, label in enumerate(labels)},
        )
    )
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor([-MARGIN / 2, MARGIN / 2]))
    aside = directory.with_name(directory.name + ".part")
    shutil.rmtree(aside, ignore_errors=True)
    model.save_pretrained(aside)
    shutil.copyfile(EMBEDDED / "tokenizer.json", aside / "tokenizer.json")
    tokenizer = json.loads((EMBEDDED / "tokenizer_config.json").read_bytes())
    # As DistilBERT's own tokenizer states it: older transformers would give the model more.
    tokenizer["model_input_names"] = ["input_ids", "attention_mask"]
    (aside / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=2) + "\n")
    aside.rename(directory)
