import pytest

pytest.importorskip("numpy")

from training.augmentation import Augmentation, detokenize
from training.corpus import Example


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("i do n't know , but it 's good .", "i don't know, but it's good."),
        ("they ca n't and wo n't", "they can't and won't"),
        ("a `` great '' film !", 'a "great" film!'),
        ("`` right-thinking ' films", "\"right-thinking' films"),
        ("the ` idiot ' box", "the 'idiot' box"),
        ("worth $ 9 ( or less )", "worth $9 (or less)"),
        ("-lrb- really -rrb-", "(really)"),
        ("they 're gon na go", "they're gonna go"),
        ("the cast 's best", "the cast's best"),
        ("already natural, isn't it?", "already natural, isn't it?"),
    ],
)
def test_treebank_tokens_become_ordinary_spelling(tokens: str, text: str) -> None:
    assert detokenize(tokens) == text


def test_an_epoch_holds_the_corpus_and_the_documents(corpus: list[Example]) -> None:
    augmentation = Augmentation(
        joined=10, joined_words=(50, 60), joined_purity=((0.7, 0.9), (0.7, 0.9)), detokenized=0.0
    )
    examples = augmentation.epoch(corpus, seed=1, epoch=0)
    documents = examples[len(corpus) :]
    assert examples[: len(corpus)] == corpus
    assert len(documents) == 10
    longest = max(len(example.text.split()) for example in corpus)
    for document in documents:
        words = len(document.text.replace("<br /><br />", "").split())
        assert 50 <= words <= 60 + longest + 1


def test_each_label_has_its_own_share_of_sentences() -> None:
    corpus = [Example("bad " * 6, 0), Example("good " * 6, 1)]
    augmentation = Augmentation(
        joined=50, joined_words=(600, 600), joined_purity=((1.0, 1.0), (0.4, 0.4)), detokenized=0.0
    )
    documents = augmentation.epoch(corpus, seed=2, epoch=0)[len(corpus) :]
    assert {document.label for document in documents} == {0, 1}
    assert all("good" not in document.text for document in documents if document.label == 0)
    words = [
        word for document in documents if document.label == 1 for word in document.text.split()
    ]
    share = words.count("good") / (words.count("good") + words.count("bad"))
    assert share == pytest.approx(0.4, abs=0.05)


def test_seed_and_epoch_decide_the_examples(corpus: list[Example]) -> None:
    augmentation = Augmentation(
        joined=5, joined_words=(20, 40), joined_purity=((0.7, 1.0), (0.7, 1.0)), detokenized=0.5
    )
    first = augmentation.epoch(corpus, seed=0, epoch=0)
    assert first == augmentation.epoch(corpus, seed=0, epoch=0)
    assert first != augmentation.epoch(corpus, seed=0, epoch=1)
    assert first != augmentation.epoch(corpus, seed=1, epoch=0)


def test_no_documents_are_joined_when_a_label_has_no_sentences() -> None:
    corpus = [Example("too short", 0), Example("one two three four five six", 1)]
    augmentation = Augmentation(
        joined=5, joined_words=(20, 40), joined_purity=((0.7, 1.0), (0.7, 1.0)), detokenized=0.0
    )
    assert augmentation.epoch(corpus, seed=0, epoch=0) == corpus
