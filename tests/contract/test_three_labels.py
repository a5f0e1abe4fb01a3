"""Another model than the embedded one: three labels, in RoBERTa's form.

Everything is real but the weights, which are small and random, and Ray. The export of BERT and
DistilBERT is tested in `tests/unit/export`.
"""

import csv
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import numpy as np
import pytest
from tokenizers import Tokenizer as Tokenizers
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import RobertaProcessing

from serve_app.cache.score_cache import open_cache
from serve_app.engine.engine import Engine, OnnxEngine, load_engine
from serve_app.engine.tokenizer import Tokenizer
from serve_app.gateway.gateway import Gateway
from serve_app.model.onnx_bundle import find_bundle
from serve_app.model.store import ModelIdentity, resolve
from serve_app.scores import CallReply, TextLogits
from serve_app.settings import EngineName, GatewaySettings
from tests.conftest import WORDS
from tests.contract.server import hosted, serving

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.slow

LABELS: Final = ("NEGATIVE", "NEUTRAL", "POSITIVE")
TEXTS: Final = ["the film was very good", "i hate it", "", "bad good " * 80]

# How far rounding moves a probability of this model, whose weights are large: torch chooses its
# kernels by the processor and by the number of texts.
ROUNDING: Final = {"torch": 1e-5, "onnx-fp32": 1e-6}

SPECIAL: Final = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


class Prepared(NamedTuple):
    """A model that the command line has prepared, and what it printed."""

    model: ModelIdentity
    printed: str

    def engine(self, name: EngineName) -> Engine:
        artefact = find_bundle(self.model)
        if name == "onnx-int8" and artefact:
            # Verification may refuse it for random weights; it is served only where it does not.
            return OnnxEngine(artefact.path(name), name, pad_id=self.model.pad_id, threads=1)
        return load_engine(self.model, name, threads=1)

    def expected(self, texts: Sequence[str]) -> Any:
        """Return what transformers itself makes of texts, as logits."""
        tokenizer = transformers.AutoTokenizer.from_pretrained(self.model.path)
        classifier = transformers.AutoModelForSequenceClassification.from_pretrained(
            self.model.path
        ).eval()
        with torch.no_grad():
            return np.vstack(
                [
                    classifier(**tokenizer(text, truncation=True, return_tensors="pt")).logits
                    for text in texts
                ]
            )


class InProcess:
    """A classifier replica without Ray: the gateway's view of it."""

    def __init__(self, model: ModelIdentity, engine: Engine) -> None:
        self._tokenizer = Tokenizer(model)
        self._engine = engine

    async def classify(
        self, texts: Sequence[str], within_s: float, sizes: Sequence[int] = ()
    ) -> CallReply:
        tokens = self._tokenizer.encode(texts)
        logits = self._engine.logits([each.ids for each in tokens])
        scored = [
            TextLogits(tuple(row.tolist()), each.truncated)
            for row, each in zip(logits, tokens, strict=True)
        ]
        return CallReply(list(scored), 0.0, 0.0)

    def replicas(self) -> int:
        return 1


def write_checkpoint(directory: Path) -> None:
    """Write a three-label RoBERTa with its tokenizer, as `save_pretrained` does."""
    torch.manual_seed(1)
    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
    config = transformers.RobertaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_attention_heads=2,
        num_hidden_layers=3,
        # Large weights, so that random logits lie apart.
        initializer_range=0.5,
        # Positions are numbered from the padding's id on, so that two are lost.
        max_position_embeddings=66,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
    )
    transformers.RobertaForSequenceClassification(config).save_pretrained(directory)
    words = Tokenizers(WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    words.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0))
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, model_max_length=64, pad_token="<pad>", unk_token="<unk>"
    ).save_pretrained(directory)


def sentiment(*arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "serve_app.cli", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=170,
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    directory = tmp_path_factory.mktemp("models") / "three-labels"
    write_checkpoint(directory)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SENTIMENT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        printed = sentiment("model", "prepare", directory)
        yield Prepared(resolve(str(directory)), printed)


@pytest.fixture(params=["torch", "onnx-fp32", "onnx-int8"])
def engine(request: pytest.FixtureRequest) -> EngineName:
    name: EngineName = request.param
    return name


@pytest.fixture
def url(prepared: Prepared, engine: EngineName, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve the model over HTTP, by the real gateway."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    settings = GatewaySettings()
    gateway = Gateway(
        prepared.model,
        engine,
        open_cache("memory://", len(LABELS), settings),
        InProcess(prepared.model, prepared.engine(engine)),
        settings,
    )
    with serving(hosted(gateway)) as address:
        yield address


def tolerance(engine: EngineName) -> float:
    return 0.1 if engine == "onnx-int8" else 1e-4


def test_the_command_line_prepares_and_describes_it(prepared: Prepared) -> None:
    assert "| onnx-fp32 | 0.00% |" in prepared.printed
    assert "| onnx-int8 |" in prepared.printed
    described = sentiment("model", "info", prepared.model.path)
    assert "labels     NEGATIVE, NEUTRAL, POSITIVE" in described
    assert "max_tokens 64" in described
    assert "prepared   no" not in described


def test_the_command_line_evaluates_it(prepared: Prepared, tmp_path: Path) -> None:
    best = prepared.expected(TEXTS[:2]).argmax(axis=1)
    data = tmp_path / "dev.tsv"
    rows = [f"{text}\t{LABELS[index]}" for text, index in zip(TEXTS[:2], best, strict=True)]
    data.write_text("\n".join(["text\tlabel", *rows, ""]))
    printed = sentiment("model", "evaluate", data, "--model", prepared.model.path)
    for engine in ("torch", "onnx-fp32"):
        assert f"| {engine} | 1.0000 | 0 of 2 |" in printed
    assert "| onnx-int8 |" in printed


def test_every_label_is_answered_best_first(
    prepared: Prepared, engine: EngineName, url: str
) -> None:
    answer = httpx.post(f"{url}/project/predict", json={"text": TEXTS}, timeout=60)
    assert answer.headers["x-truncated"] == "3"
    logits = prepared.expected(TEXTS)
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for prediction, expected in zip(answer.json()["predictions"], softmax, strict=True):
        scores = [each["score"] for each in prediction]
        assert scores == sorted(scores, reverse=True)
        assert sum(scores) == pytest.approx(1, abs=1e-6)
        found = {each["label"]: each["score"] for each in prediction}
        assert found == pytest.approx(
            dict(zip(LABELS, expected.tolist(), strict=True)), abs=tolerance(engine)
        )


def test_labels_that_exclude_each_other_not_get_scores_of_their_own(
    prepared: Prepared, engine: EngineName, url: str
) -> None:
    body = {"inputs": TEXTS[0], "parameters": {"function_to_apply": "sigmoid", "top_k": 2}}
    [prediction] = httpx.post(f"{url}/project", json=body, timeout=60).json()
    [logits] = prepared.expected(TEXTS[:1]).tolist()
    sigmoid = {
        label: 1 / (1 + math.exp(-logit)) for label, logit in zip(LABELS, logits, strict=True)
    }
    best = sorted(sigmoid, key=sigmoid.__getitem__, reverse=True)[:2]
    assert [each["label"] for each in prediction] == best
    for each in prediction:
        assert each["score"] == pytest.approx(sigmoid[each["label"]], abs=tolerance(engine))


# Verification may refuse int8 for random weights, and the command line with it.
@pytest.mark.parametrize("engine", ["torch", "onnx-fp32"], indirect=True)
def test_a_row_has_a_column_for_each_label(
    prepared: Prepared, engine: EngineName, url: str, tmp_path: Path
) -> None:
    source, remote, local = (tmp_path / name for name in ("in.csv", "remote.csv", "local.csv"))
    source.write_text("text\n" + "\n".join(text for text in TEXTS if text) + "\n")
    sentiment("predict", "-i", source, "-o", remote, "--url", url)
    model = ["--local", "--model", str(prepared.model.path), "--engine", engine]
    sentiment("predict", "-i", source, "-o", local, *model)
    with remote.open(newline="") as rows:
        found = list(csv.DictReader(rows))
    scores = [f"score_{label}" for label in LABELS]
    assert list(found[0]) == ["text", "predicted_label", *scores, "prediction_error"]
    with local.open(newline="") as rows:
        for one, other in zip(found, csv.DictReader(rows), strict=True):
            assert one["predicted_label"] == other["predicted_label"]
            assert [float(one[name]) for name in scores] == pytest.approx(
                [float(other[name]) for name in scores], abs=ROUNDING[engine]
            )


def test_info_names_the_labels(prepared: Prepared, url: str) -> None:
    assert httpx.get(f"{url}/project/info").json()["labels"] == list(LABELS)
