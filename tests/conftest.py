import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from serve_app.model.store import ModelIdentity, resolve

# A machine that is busy for a moment breaks no property.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

WORDS = (
    "the", "a", "film", "food", "service", "was", "is", "not", "very", "good", "bad", "slow",
    "great", "awful", "love", "hate", "i", "it",
)  # fmt: skip


def write_classifier(directory: Path, labels: tuple[str, ...] = ("NEGATIVE", "POSITIVE")) -> None:
    """Write a small random DistilBERT classifier in Hugging Face form."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.DistilBertConfig(
        vocab_size=5 + len(WORDS),
        dim=32,
        hidden_dim=64,
        n_heads=2,
        n_layers=2,
        max_position_embeddings=64,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    transformers.DistilBertForSequenceClassification(config).save_pretrained(directory)
    vocabulary = {word: n for n, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])}
    vocabulary |= {word: len(vocabulary) + n for n, word in enumerate(WORDS)}
    transformers.BertTokenizer(vocab=vocabulary, model_max_length=64).save_pretrained(directory)


@pytest.fixture(scope="session")
def _classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models") / "tiny"
    write_classifier(directory)
    return directory


@pytest.fixture
def model_directory(_classifier: Path, tmp_path: Path) -> Path:
    """A directory of its own with a small random classifier of 64 tokens and two labels."""
    return Path(shutil.copytree(_classifier, tmp_path / "tiny"))


@pytest.fixture
def model(model_directory: Path) -> ModelIdentity:
    return resolve(str(model_directory))


@pytest.fixture
def cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory for derived files."""
    directory = tmp_path / "cache"
    monkeypatch.setenv("SENTIMENT_CACHE_DIR", str(directory))
    return directory


@pytest.fixture(scope="session")
def _warm_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("warm")


@pytest.fixture
def warm_cache(_warm_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for derived files, of which the first test to need them makes them for all."""
    monkeypatch.setenv("SENTIMENT_CACHE_DIR", str(_warm_cache))
    return _warm_cache


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Find a file of the data sets that are not part of this repository, or skip."""
    root = Path(os.environ.get("SENTIMENT_SHARED", Path(__file__).parents[2] / "shared")) / "data"

    def find(name: str) -> Path:
        if not (root / name).is_file():
            pytest.skip(f"needs the data file {name}; point SENTIMENT_SHARED at its folder")
        return root / name

    return find
