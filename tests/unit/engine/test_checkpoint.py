"""What transformers would make of a model, and what is refused."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from serve_app.engine.engine import load_engine
from serve_app.engine.tokenizer import Tokenizer
from serve_app.errors import ModelUnusable
from serve_app.export.prepare import prepare
from serve_app.model.store import resolve
from tests.conftest import WORDS

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

Tensors = dict[str, Any]


def edit(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(content | changes))


def change_weights(directory: Path, change: Callable[[Tensors], Tensors]) -> None:
    file = directory / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


def without(*names: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name: value for name, value in tensors.items() if name not in names}


BROKEN_WEIGHTS = [
    pytest.param(without("classifier.bias"), "missing classifier.bias", id="a bias"),
    pytest.param(
        without("classifier.weight", "classifier.bias", "pre_classifier.weight"),
        "missing classifier.bias, classifier.weight, pre_classifier.weight",
        id="the head",
    ),
    pytest.param(
        lambda tensors: {f"_orig_mod.{name}": value for name, value in tensors.items()},
        r"missing .* and \d+ more; left over _orig_mod",
        id="a prefix",
    ),
    pytest.param(
        lambda tensors: tensors | {"distilbert.layer.lora_A": np.zeros((2, 2), np.float32)},
        "left over distilbert.layer.lora_A",
        id="an adapter's",
    ),
    pytest.param(
        lambda tensors: tensors | {"pre_classifier.bias": np.zeros(31, np.float32)},
        r"misshapen pre_classifier.bias \[31\] instead of \[32\]",
        id="a shape",
    ),
]


@pytest.mark.parametrize(("change", "problem"), BROKEN_WEIGHTS)
@pytest.mark.parametrize("start", [prepare, None], ids=["prepare", "torch"])
def test_weights_that_do_not_fit_are_refused_by_name(
    model_directory: Path,
    cache_dir: Path,
    start: Any,
    change: Callable[[Tensors], Tensors],
    problem: str,
) -> None:
    change_weights(model_directory, change)
    model = resolve(str(model_directory))
    with pytest.raises(ModelUnusable, match=problem):
        if start:
            start(model, lambda _: None)
        else:
            load_engine(model, "torch", threads=1)
    assert not cache_dir.exists() or not [path for path in cache_dir.iterdir() if path.is_dir()]


def test_layers_that_the_configuration_leaves_out_are_refused(model_directory: Path) -> None:
    edit(model_directory / "config.json", n_layers=1)
    with pytest.raises(ModelUnusable, match=r"left over distilbert\.transformer\.layer\.1"):
        load_engine(resolve(str(model_directory)), "torch", threads=1)


def test_weights_of_another_head_of_the_architecture_are_left_alone(tmp_path: Path) -> None:
    config = transformers.RobertaConfig(
        vocab_size=30, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=34, num_labels=3,
    )  # fmt: skip
    transformers.RobertaForSequenceClassification(config).save_pretrained(tmp_path)
    write_vocabulary(tmp_path)
    extra = {
        "roberta.pooler.dense.weight": np.zeros((16, 16), np.float32),
        "roberta.embeddings.position_ids": np.arange(34)[None],
    }
    change_weights(tmp_path, lambda tensors: tensors | extra)
    assert load_engine(resolve(str(tmp_path)), "torch", threads=1).logits([[0, 6, 2]]).shape == (
        1,
        3,
    )


def test_logits_that_are_not_finite_are_refused(model_directory: Path) -> None:
    nan = np.full(2, np.nan, np.float32)
    change_weights(model_directory, lambda tensors: tensors | {"classifier.bias": nan})
    with pytest.raises(ModelUnusable, match="scores that are no numbers"):
        load_engine(resolve(str(model_directory)), "torch", threads=1)


def test_sharded_weights_are_loaded_and_a_missing_shard_is_named(
    model_directory: Path, tmp_path: Path
) -> None:
    whole = load_engine(resolve(str(model_directory)), "torch", threads=1).logits([[2, 6, 3]])
    classifier = transformers.AutoModelForSequenceClassification.from_pretrained(model_directory)
    (model_directory / "model.safetensors").unlink()
    classifier.save_pretrained(model_directory, max_shard_size="10KB")
    model = resolve(str(model_directory))
    assert load_engine(model, "torch", threads=1).logits([[2, 6, 3]]) == pytest.approx(whole)
    shard = sorted(model_directory.glob("model-*.safetensors"))[0]
    shard.unlink()
    with pytest.raises(ModelUnusable, match=f"a shard is missing: .*{shard.name}"):
        resolve(str(model_directory))


def write_vocabulary(directory: Path, **settings: Any) -> None:
    """Write a vocab.txt as BERT's slow tokenizer had it, without tokenizer.json."""
    (directory / "tokenizer.json").unlink(missing_ok=True)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = ["Film", "cafe", "café", "##s", "é"]
    words = [*special, *WORDS, *pieces]
    (directory / "vocab.txt").write_text("\n".join(words) + "\n")
    content = {"tokenizer_class": "BertTokenizer", "model_max_length": 32} | settings
    (directory / "tokenizer_config.json").write_text(json.dumps(content))


def resized(directory: Path, tokens: int) -> None:
    classifier = transformers.AutoModelForSequenceClassification.from_pretrained(directory)
    classifier.resize_token_embeddings(tokens)
    classifier.save_pretrained(directory)


TEXTS = ["The Film was GOOD", "café CAFE films", "", "a [MASK] <new> b", "bad " * 70, "电影 good"]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("tokenizer_config.json", {"do_lower_case": False}),
        ("tokenizer_config.json", {"strip_accents": False, "do_lower_case": True}),
        ("tokenizer_config.json", {"tokenize_chinese_chars": False}),
        ("tokenizer_config.json", {"truncation_side": "left"}),
        ("tokenizer_config.json", {"model_max_length": 9}),
        ("tokenizer_config.json", {"cls_token": "good", "sep_token": "bad"}),
        ("special_tokens_map.json", {"additional_special_tokens": ["<new>"]}),
        ("added_tokens.json", {"<new>": 23}),
    ],
    ids=str,
)
@pytest.mark.parametrize("form", ["tokenizer.json", "vocab.txt"])
def test_every_setting_gives_the_token_ids_of_transformers(
    model_directory: Path, cache_dir: Path, name: str, settings: dict[str, Any], form: str
) -> None:
    before = resolve(str(model_directory)).digest
    resized(model_directory, 40)
    if form == "vocab.txt":
        write_vocabulary(model_directory)
    edit(model_directory / name, **settings)
    model = resolve(str(model_directory))
    expected = transformers.AutoTokenizer.from_pretrained(model.path)(
        TEXTS, truncation=True, max_length=model.max_tokens
    )["input_ids"]
    assert [tokens.ids for tokens in Tokenizer(model).encode(TEXTS)] == expected
    assert model.digest != before


def test_a_sentencepiece_model_is_converted(model_directory: Path, tmp_path: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(f"the {word} is very {word} film" for word in WORDS * 4))
    (model_directory / "tokenizer.json").unlink()
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(tmp_path / "m"), vocab_size=45, hard_vocab_limit=False,
        minloglevel=2,
    )  # fmt: skip
    (tmp_path / "m.model").rename(model_directory / "sentencepiece.bpe.model")
    content = {"tokenizer_class": "XLMRobertaTokenizer", "model_max_length": 32}
    (model_directory / "tokenizer_config.json").write_text(json.dumps(content))
    resized(model_directory, 60)
    model = resolve(str(model_directory))
    reference = transformers.AutoTokenizer.from_pretrained(model.path)
    expected = reference(TEXTS, truncation=True, max_length=model.max_tokens)["input_ids"]
    assert [tokens.ids for tokens in Tokenizer(model).encode(TEXTS)] == expected


def test_split_special_tokens_is_refused_by_name(model_directory: Path) -> None:
    edit(model_directory / "tokenizer_config.json", split_special_tokens=True)
    with pytest.raises(ModelUnusable, match="split_special_tokens"):
        Tokenizer(resolve(str(model_directory)))


def test_tokens_without_an_embedding_are_refused(model_directory: Path) -> None:
    edit(model_directory / "added_tokens.json", **{"<new>": 23})
    with pytest.raises(ModelUnusable, match="token id 23, the model has embeddings for 23"):
        load_engine(resolve(str(model_directory)), "torch", threads=1)


def write_decoder(directory: Path, **config: Any) -> None:
    """Write a small GPT-2 whose tokenizer adds no tokens of its own."""
    tokenizers = pytest.importorskip("tokenizers")
    torch.manual_seed(0)
    vocabulary = {word: number for number, word in enumerate(["<unk>", "<end>", *WORDS])}
    settings = transformers.GPT2Config(
        vocab_size=len(vocabulary), n_positions=32, n_embd=16, n_layer=2, n_head=2, num_labels=3,
        initializer_range=0.5, bos_token_id=1, eos_token_id=1, **config,
    )  # fmt: skip
    transformers.GPT2ForSequenceClassification(settings).save_pretrained(directory)
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>").save_pretrained(
        directory
    )


@pytest.mark.parametrize("config", [{}, {"pad_token_id": 0}, {"pad_token_id": -1}], ids=str)
def test_a_decoder_scores_each_text_as_if_it_were_alone(
    tmp_path: Path, config: dict[str, int]
) -> None:
    write_decoder(tmp_path, **config)
    model = resolve(str(tmp_path))
    assert model.max_tokens == 32
    texts = ["the film was good", "bad", "", "i love it very", "good film " * 16, "bad " * 320]
    token_ids = [tokens.ids for tokens in Tokenizer(model).encode(texts)]
    assert [len(ids) for ids in token_ids] == [4, 1, 1, 4, 32, 32]
    engine = load_engine(model, "torch", threads=1)
    classifier = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        expected = np.vstack([classifier(torch.tensor([ids])).logits for ids in token_ids])
    assert engine.logits(token_ids) == pytest.approx(expected, abs=1e-4)


def test_no_code_of_a_model_is_run(model_directory: Path, tmp_path: Path) -> None:
    marker = tmp_path / "was_run"
    code = f"open({str(marker)!r}, 'w').close()\nfrom transformers import DistilBertConfig as C\n"
    (model_directory / "theirs.py").write_text(code)
    edit(
        model_directory / "config.json",
        model_type="theirs",
        auto_map={"AutoConfig": "theirs.C", "AutoModelForSequenceClassification": "theirs.C"},
    )
    edit(model_directory / "tokenizer_config.json", auto_map={"AutoTokenizer": ["theirs.C", None]})
    predict = ["predict", "x", "--local", "--engine", "torch", "--model", model_directory]
    for arguments in (["model", "prepare", model_directory], predict):
        run = subprocess.run(
            [sys.executable, "-m", "serve_app.cli", *map(str, arguments)],
            input="y\n" * 20, capture_output=True, text=True, check=False,
            env={**os.environ, "SENTIMENT_CACHE_DIR": str(tmp_path / "cache")},
        )  # fmt: skip
        assert run.returncode == 1
        assert "error: cannot load" in run.stderr
        assert "Traceback" not in run.stderr
    assert not marker.exists()
