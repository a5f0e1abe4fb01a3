from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("accelerate")

import torch
from accelerate.state import AcceleratorState
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from training.corpus import Example

WORDS = ["good", "bad", "film", "a", "very", "the", "plot", "fine", "dull", ".", "is", "it"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.fixture(autouse=True)
def accelerator_state() -> Iterator[None]:
    """Forget the settings that accelerate keeps for the life of a process."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="session")
def bert() -> BertModel:
    config = BertConfig(
        vocab_size=len(SPECIAL + WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    torch.manual_seed(0)
    model = BertModel(config)
    model.eval()
    return model


@pytest.fixture(scope="session")
def base_directory(bert: BertModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT with a tokenizer that pads and cuts, as sentence encoders often do."""
    path = tmp_path_factory.mktemp("base")
    bert.save_pretrained(path)
    vocabulary = {word: index for index, word in enumerate(SPECIAL + WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_padding(length=8)
    tokenizer.enable_truncation(8)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    ).save_pretrained(path)
    return path


@pytest.fixture
def corpus() -> list[Example]:
    """Twenty distinct sentences of each label, the words telling the label."""
    fillers = ["film", "plot", "a", "the", "is", "it", "very", "a film", "the plot", "it is"]
    return [
        Example(f"the film is very {word} {filler} the plot is {word} {end}", label)
        for label, word in enumerate(("bad", "good"))
        for filler in fillers
        for end in (".", "a .")
    ]


@pytest.fixture
def tsv(corpus: list[Example], tmp_path: Path) -> Path:
    path = tmp_path / "sentences.tsv"
    lines = ["text\tlabel", *(f"{example.text}\t{example.label}" for example in corpus)]
    path.write_text("\n".join(lines) + "\n")
    return path
