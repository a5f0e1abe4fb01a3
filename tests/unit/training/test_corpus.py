from pathlib import Path

import pytest

pytest.importorskip("numpy")

from training.corpus import (
    CorpusError,
    Example,
    find_labels,
    hold_out,
    leave_out_short,
    read_corpus,
)


def test_quotes_are_ordinary_text(tmp_path: Path) -> None:
    path = tmp_path / "data.tsv"
    path.write_text('text\tlabel\n"unbalanced\t1\nfine\t0\n')
    assert read_corpus(path) == [Example('"unbalanced', 1), Example("fine", 0)]


def test_columns_may_come_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "data.tsv"
    path.write_text("label\ttext\n1\tfine\n")
    assert read_corpus(path) == [Example("fine", 1)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("sentence\tlabel\nfine\t1\n", "no column 'text'"),
        (
            "text\tlabel\nfine\t2\n",
            "line 2: the label is '2'; it must be one of NEGATIVE or 0, POSITIVE or 1",
        ),
        ("text\tlabel\nfine\t\n", "line 2: expected a text, a tab and a label"),
        ("text\tlabel\nfine\n", "line 2: it has 1 fields, the header 2"),
        ("text\tlabel\n\nfine\t1\t0\n", "line 3: it has 3 fields, the header 2"),
        ('text\tlabel\n"a ""b"""\t1\n', "line 2: a field is quoted as in CSV"),
        ("text\tlabel\n", "holds no examples"),
        ("", "no column 'text', 'label'"),
    ],
)
def test_malformed_files_are_explained(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "data.tsv"
    path.write_text(content)
    with pytest.raises(CorpusError, match=message):
        read_corpus(path)


def test_a_missing_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no data file at"):
        read_corpus(tmp_path / "absent.tsv")


def test_a_file_in_another_encoding_is_read_or_explained(tmp_path: Path) -> None:
    path = tmp_path / "data.tsv"
    path.write_bytes(b"text\tlabel\nna\xefve\t1\n")
    with pytest.raises(CorpusError, match=r"data.tsv: .* not UTF-8: line 2 has the byte 0xEF"):
        read_corpus(path)
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le"):
        path.write_text("text\tlabel\n\nnaïve\t1\n", encoding)
        assert read_corpus(path) == [Example("naïve", 1)]


def test_phrases_of_held_out_sentences_are_kept_from_training() -> None:
    sentence = "one two three four five six seven eight nine ten"
    corpus = [Example(sentence, 1), Example("three four", 0), Example("four three", 0)]
    training, held_out = hold_out(corpus, 1, seed=0)
    assert held_out == [Example(sentence, 1)]
    assert training == [Example("four three", 0)]


def test_a_sentence_inside_another_is_no_sentence() -> None:
    inner = " ".join("abcdefghij")
    corpus = [Example(inner, 0), Example(f"{inner} k", 0)]
    assert hold_out(corpus, 1, seed=0)[1] == [Example(f"{inner} k", 0)]


def test_holding_out_nothing_keeps_everything(corpus: list[Example]) -> None:
    assert hold_out(corpus, 0, seed=0) == (corpus, [])


def test_too_few_sentences_are_explained() -> None:
    with pytest.raises(CorpusError, match="lower --holdout-sentences"):
        hold_out([Example("short", 1)], 1, seed=0)


def test_short_texts_are_left_out() -> None:
    corpus = [Example("one two", 1), Example("one two three", 0), Example("one", 0)]
    assert leave_out_short(corpus, 2) == corpus[:2]


def test_leaving_out_every_text_is_explained() -> None:
    with pytest.raises(CorpusError, match="no training text has 2 words: lower --least-words"):
        leave_out_short([Example("short", 1)], 2)


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (["positive", "neutral", "negative", "neutral"], ("negative", "neutral", "positive")),
        (["0", "1", "0"], ("NEGATIVE", "POSITIVE")),
        (["spam", "ham"], ("ham", "spam")),
        (["joy", "fear", "anger", "love", "none"], ("anger", "fear", "joy", "love", "none")),
        (["1 star", "5"], ("1 star", "5")),
    ],
)
def test_the_names_of_the_labels_are_those_in_the_file(
    tmp_path: Path, labels: list[str], found: tuple[str, ...]
) -> None:
    path = tmp_path / "data.tsv"
    path.write_text("text\tlabel\n" + "".join(f"a text\t{label}\n" for label in labels))
    assert find_labels(path) == found
    numbers = [example.label for example in read_corpus(path, found)]
    names = [name for name in labels if name not in {"0", "1"}] or [found[int(n)] for n in labels]
    assert [found[number] for number in numbers] == names


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["0", "1", "2"], "has the numbers 0, 1, 2 as labels.*--labels negative neutral positive"),
        (["Positive", "positive", "negative"], "differ only in case, Positive, negative, positive"),
        (["neutral", "neutral"], "has the label neutral alone"),
    ],
)
def test_labels_that_mean_nothing_certain_are_refused(
    tmp_path: Path, labels: list[str], message: str
) -> None:
    path = tmp_path / "data.tsv"
    path.write_text("text\tlabel\n" + "".join(f"a text\t{label}\n" for label in labels))
    with pytest.raises(CorpusError, match=message):
        find_labels(path)


def test_numbers_stand_for_the_names_in_order(tmp_path: Path) -> None:
    path = tmp_path / "data.tsv"
    path.write_text("text\tlabel\ngood\t2\nso-so\tneutral\nbad\t0\n")
    corpus = read_corpus(path, ("negative", "neutral", "positive"))
    assert [example.label for example in corpus] == [2, 1, 0]
