import json
from collections.abc import Callable
from pathlib import Path

import pytest

from serve_app.export.evaluate import evaluate
from serve_app.export.prepare import prepare
from serve_app.model.onnx_bundle import OnnxBundle
from serve_app.model.store import EMBEDDED, ModelIdentity, resolve

MAX_BYTES = 48 * 1024 * 1024


def no_progress(line: str) -> None:
    del line


@pytest.fixture(scope="module")
def embedded() -> ModelIdentity:
    return resolve("embedded")


@pytest.fixture(scope="module")
def bundle(embedded: ModelIdentity) -> OnnxBundle:
    pytest.importorskip("torch")
    return prepare(embedded, no_progress)


def test_it_is_small() -> None:
    assert sum(file.stat().st_size for file in EMBEDDED.iterdir() if file.is_file()) <= MAX_BYTES


def test_transformers_loads_it_unchanged() -> None:
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(EMBEDDED)
    assert type(model).__name__ == "DistilBertForSequenceClassification"
    assert model.config.id2label == {0: "NEGATIVE", 1: "POSITIVE"}
    tokenizer = transformers.AutoTokenizer.from_pretrained(EMBEDDED)
    encoded = tokenizer("Wonderful!", return_tensors="pt")
    assert model(**encoded).logits.argmax().item() == 1


def test_int8_is_faithful_and_the_default(bundle: OnnxBundle) -> None:
    assert bundle.default_engine == "onnx-int8"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dev", "test"])
def test_it_is_as_accurate_as_its_card_says_on_every_engine(
    embedded: ModelIdentity,
    bundle: OnnxBundle,
    shared_data: Callable[[str], Path],
    name: str,
) -> None:
    torch, fp32, int8 = evaluate(embedded, shared_data(f"sst2/{name}.tsv"), no_progress)
    assert torch.accuracy == pytest.approx(stated_accuracy(name), abs=1e-3)
    assert (fp32.flips, fp32.accuracy) == (0, torch.accuracy)
    assert int8.flips / int8.texts <= 0.007
    assert torch.accuracy - int8.accuracy <= 0.003
    assert int8.off_p995 <= 0.1


def stated_accuracy(name: str) -> float:
    accuracy: float = json.loads((EMBEDDED / "metrics.json").read_text())["evaluation"][name][
        "accuracy"
    ]
    return accuracy
