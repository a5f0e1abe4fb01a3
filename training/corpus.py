"""Labelled text corpora: reading, checking and splitting them."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serve_app.decoding import labelled_lines
from serve_app.errors import StartupError
from training.recipe import LABELS

COLUMNS = ("text", "label")
MIN_SENTENCE_WORDS = 10


class CorpusError(ValueError):
    """A data file is missing or not in the expected form; the message says what to do."""


@dataclass(frozen=True)
class Example:
    """One text and its label, an index into the names of the labels."""

    text: str
    label: int


Corpus = Sequence[Example]


def read_corpus(path: Path, labels: Sequence[str] = LABELS) -> list[Example]:
    """Read a tab-separated file with the columns ``text`` and ``label``.

    Quote characters are ordinary text, as in the GLUE distribution of SST-2.

    Args:
        path: File in UTF-8 or UTF-16 whose first line names the columns.
        labels: Names of the labels, in order; the file has these names, or their numbers from 0 on.

    Returns:
        The examples in file order.

    Raises:
        CorpusError: The file is missing or empty, or a column or label is wrong.
    """
    numbers = {str(number): number for number in range(len(labels))}
    numbers |= {label: number for number, label in enumerate(labels)}
    corpus = []
    for line, text, label in _rows(path):
        if label not in numbers:
            known = ", ".join(f"{name} or {number}" for number, name in enumerate(labels))
            raise CorpusError(
                f"{path}, line {line}: the label is {label!r}; it must be one of {known}: "
                "correct it, or name all labels with --labels"
            )
        corpus.append(Example(text, numbers[label]))
    return corpus


def find_labels(path: Path) -> tuple[str, ...]:
    """Return the names of the labels that a file has, sorted; those of SST-2 where it has 0 and 1.

    Raises:
        CorpusError: The file cannot be read, or its labels are numbers that nobody has named,
            differ only in case, or are fewer than two.
    """
    found = sorted({label for _, _, label in _rows(path)})
    if set(found) <= {"0", "1"}:
        return LABELS
    if all(label.isdecimal() for label in found):
        raise CorpusError(
            f"{path} has the numbers {', '.join(found)} as labels: write names there, or name "
            "those from 0 on in order, for example --labels negative neutral positive"
        )
    if len({label.casefold() for label in found}) < len(found):
        raise CorpusError(
            f"{path} has labels that differ only in case, {', '.join(found)}: write each in one way"
        )
    if len(found) == 1:
        raise CorpusError(f"{path} has the label {found[0]} alone: a classifier needs two at least")
    return tuple(found)


def _rows(path: Path) -> list[tuple[int, str, str]]:
    """Return the line, text and label of each example."""
    if not path.is_file():
        raise CorpusError(f"no data file at {path}: pass an existing TSV file")
    rows = []
    try:
        for number, text, label in labelled_lines(path):
            if not text.strip() or not label.strip():
                raise CorpusError(f"{path}, line {number}: expected a text, a tab and a label")
            rows.append((number, text.strip(), label.strip()))
    except StartupError as error:
        raise CorpusError(f"{error.problem}: {error.hint}") from None
    if not rows:
        raise CorpusError(f"{path} holds no examples: add at least one line of text and label")
    return rows


def hold_out(corpus: Corpus, sentences: int, seed: int) -> tuple[list[Example], list[Example]]:
    """Split off whole sentences together with all their phrases.

    SST-2's training file lists the phrases of each sentence's parse tree as examples of their
    own, so a plain random split would leave parts of the held-out sentences in the training
    part. A sentence is a text of at least ten words that no other text contains.

    Args:
        corpus: The labelled texts.
        sentences: How many sentences to hold out; 0 keeps the whole corpus for training.
        seed: Seed of the choice.

    Returns:
        The training part and the held-out part.

    Raises:
        CorpusError: The corpus has too few whole sentences.
    """
    if sentences == 0:
        return list(corpus), []
    joined = "\n" + "\n".join(example.text for example in corpus) + "\n"
    candidates = [e for e in corpus if len(e.text.split()) >= MIN_SENTENCE_WORDS]
    random.Random(seed).shuffle(candidates)
    held_out: list[Example] = []
    for candidate in candidates:
        if len(held_out) == sentences:
            break
        if joined.count(candidate.text) == 1:
            held_out.append(candidate)
    if len(held_out) < sentences:
        raise CorpusError(
            f"only {len(held_out)} whole sentences to hold out: lower --holdout-sentences"
        )
    phrases = {phrase for example in held_out for phrase in _phrases(example.text)}
    return [e for e in corpus if tuple(e.text.split()) not in phrases], held_out


def leave_out_short(corpus: Corpus, min_words: int) -> list[Example]:
    """Keep the texts of at least ``min_words`` words.

    Args:
        corpus: The labelled texts.
        min_words: Words, separated by spaces, of the shortest text to keep.

    Returns:
        The longer texts, in the same order.

    Raises:
        CorpusError: Every text is shorter.
    """
    kept = [example for example in corpus if len(example.text.split()) >= min_words]
    if not kept:
        raise CorpusError(f"no training text has {min_words} words: lower --least-words")
    return kept


def labels_of(corpus: Corpus) -> NDArray[np.int64]:
    """Return the labels of a corpus, shape (examples,)."""
    return np.array([example.label for example in corpus], dtype=np.int64)


def _phrases(text: str) -> Iterator[tuple[str, ...]]:
    words = tuple(text.split())
    for start in range(len(words)):
        for stop in range(start + 1, len(words) + 1):
            yield words[start:stop]
