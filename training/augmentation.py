"""Augmentation of sentence corpora: natural spacing and long, mixed documents."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from training.corpus import Corpus, Example

MIN_JOINED_WORDS = 6
LINE_BREAK = "<br /><br />"
LINE_BREAK_PROBABILITY = 0.05

# The inverse of the rules at https://www.nltk.org/api/nltk.tokenize.treebank.html; NLTK's own
# detokenizer leaves a space before full stops inside a text:
# https://github.com/nltk/nltk/issues/3210
_SUBSTITUTIONS: Sequence[tuple[re.Pattern[str], str]] = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (r" (n't|'s|'re|'ve|'ll|'d|'m)(?!\w)", r"\1"),
        (r"\b(can|gon|wan|got) (not|na|ta)(?!\w)", r"\1\2"),
        (r"`` ?| ?''", '"'),
        (r"` | '(?=\s|$)", "'"),
        (r"-lrb- ?", "("),
        (r" ?-rrb-", ")"),
        (r" ([.,!?;:%)\]])", r"\1"),
        (r"([(\[$]) ", r"\1"),
    )
)


def detokenize(text: str) -> str:
    """Undo Penn Treebank tokenization: ``it is n't bad .`` becomes ``it isn't bad.``.

    Args:
        text: Tokens separated by spaces.

    Returns:
        The text in ordinary spelling; text without such tokens comes back unchanged.
    """
    for pattern, replacement in _SUBSTITUTIONS:
        text = pattern.sub(replacement, text)
    return text


@dataclass(frozen=True)
class Augmentation:
    """Settings to make an epoch's examples from the corpus.

    Attributes:
        joined: Documents to join from sentences in each epoch, in addition to the corpus.
        joined_words: Range of a joined document's length in words.
        joined_purity: For each label of a document, the range of the share of its sentences
            that carry the same label.
        detokenized: Probability that an example is put into ordinary spelling.
    """

    joined: int
    joined_words: tuple[int, int]
    joined_purity: tuple[tuple[float, float], tuple[float, float]]
    detokenized: float

    def epoch(self, corpus: Corpus, seed: int, epoch: int) -> list[Example]:
        """Make the examples of one epoch.

        Args:
            corpus: The labelled sentences.
            seed: The run's seed.
            epoch: Number of the epoch; the same seed and epoch give the same examples.

        Returns:
            All sentences of the corpus and the joined documents, in arbitrary order.
        """
        rng = random.Random(f"{seed}:{epoch}")
        pools = [
            [e.text for e in corpus if e.label == label and _is_sentence(e.text)]
            for label in (0, 1)
        ]
        documents = [self._document(pools, rng) for _ in range(self.joined if all(pools) else 0)]
        return [
            Example(detokenize(example.text), example.label)
            if rng.random() < self.detokenized
            else example
            for example in (*corpus, *documents)
        ]

    def _document(self, pools: Sequence[Sequence[str]], rng: random.Random) -> Example:
        """Join random sentences under a label that a share of them carry.

        The share may be below one half: real positive reviews hold many negative sentences.
        """
        label = rng.randrange(2)
        purity = rng.uniform(*self.joined_purity[label])
        target, words, parts = rng.uniform(*self.joined_words), 0, list[str]()
        while words < target:
            part = rng.choice(pools[label if rng.random() < purity else 1 - label])
            words += len(part.split())
            parts.append(part if part[-1] in ".!?" else f"{part} .")
            if rng.random() < LINE_BREAK_PROBABILITY:
                parts.append(LINE_BREAK)
        return Example(" ".join(parts), label)


def _is_sentence(text: str) -> bool:
    return text[0].isalnum() and len(text.split()) >= MIN_JOINED_WORDS
