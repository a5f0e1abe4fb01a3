from pathlib import Path

import numpy as np
import pytest

from serve_app.engine.engine import load_engine
from serve_app.engine.tokenizer import Tokenizer
from serve_app.errors import ModelUnusable, StartupError
from serve_app.export.evaluate import evaluate, read_tsv
from serve_app.export.prepare import prepare
from serve_app.model.store import ModelIdentity

pytest.importorskip("torch")


def no_progress(line: str) -> None:
    del line


@pytest.mark.slow
def test_evaluation_counts_right_labels_and_flips(
    model: ModelIdentity, cache_dir: Path, tmp_path: Path
) -> None:
    prepare(model, no_progress)
    data = tmp_path / "data.tsv"
    data.write_text('text\tlabel\nthe film was "good\tpositive\nbad\t0\ni love it\t1\n')
    torch, fp32, int8 = evaluate(model, data, no_progress)
    texts, labels = read_tsv(data, model.labels)
    token_ids = [tokens.ids for tokens in Tokenizer(model).encode(texts)]
    logits = load_engine(model, "torch", threads=1).logits(token_ids)
    assert texts[0] == 'the film was "good'
    assert torch.accuracy == np.mean(logits.argmax(axis=1) == labels)
    assert (torch.flips, fp32.flips, fp32.accuracy) == (0, 0, torch.accuracy)
    assert int8.texts == 3


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot read"),
        ("sentence\tlabel\ngood\t1\n", "'text'"),
        ("text\tlabel\ngood\tneutral\n", "'neutral'"),
        ("text\tlabel\ngood\n", "line 2: it has 1 fields, the header 2"),
        ("text\tlabel\n", "has no texts"),
    ],
)
def test_a_data_file_of_another_form_is_refused(
    tmp_path: Path, content: str | None, problem: str
) -> None:
    if content is not None:
        (tmp_path / "data.tsv").write_text(content)
    with pytest.raises(StartupError, match=problem):
        read_tsv(tmp_path / "data.tsv", ("NEGATIVE", "POSITIVE"))


def test_a_data_file_is_decoded_by_the_rules_of_predict(tmp_path: Path) -> None:
    data = tmp_path / "data.tsv"
    for encoding in ("utf-8-sig", "utf-16", "utf-16-be"):
        data.write_text("text\tlabel\n\nnaïve\tPositive\n", encoding)
        texts, labels = read_tsv(data, ("NEGATIVE", "POSITIVE"))
        assert (texts, labels.tolist()) == (["naïve"], [1])
    data.write_text("text\tlabel\nnaïve\tPositive\n", "latin-1")
    with pytest.raises(StartupError, match=r"data.tsv: .* not UTF-8: line 2 has the byte 0xEF"):
        read_tsv(data, ("NEGATIVE", "POSITIVE"))


@pytest.mark.parametrize(
    ("labels", "given", "ids"),
    [
        (("NEGATIVE", "POSITIVE"), ["positive", "NEGATIVE", "1", "Positive"], [1, 0, 1, 1]),
        (("1", "0"), ["0", "1"], [1, 0]),
        (("5 stars", "2"), ["2", "0", "5 Stars"], [1, 0, 0]),
        (("good", "GOOD", "Bad"), ["GOOD", "good", "bad", "2"], [1, 0, 2, 2]),
    ],
)
def test_a_label_is_a_name_before_it_is_a_number(
    tmp_path: Path, labels: tuple[str, ...], given: list[str], ids: list[int]
) -> None:
    (tmp_path / "data.tsv").write_text("text\tlabel\n" + "".join(f"a\t{name}\n" for name in given))
    assert read_tsv(tmp_path / "data.tsv", labels)[1].tolist() == ids


def test_a_name_in_a_case_that_two_labels_share_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.tsv").write_text("text\tlabel\na\tGood\n")
    with pytest.raises(StartupError, match="no label 'Good'"):
        read_tsv(tmp_path / "data.tsv", ("good2", "GOOD", "gOOD"))


def test_a_model_that_was_not_prepared_is_refused(
    model: ModelIdentity, cache_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelUnusable, match="has not been prepared"):
        evaluate(model, tmp_path / "data.tsv", no_progress)
