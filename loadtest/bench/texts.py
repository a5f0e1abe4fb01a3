"""The texts that every system is asked about."""

import os
import random
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Final

POOL_SIZE: Final = 10
# About 20 tokens.
SENTENCE_WORDS: Final = range(14, 20)

_SUBJECTS = ("the film", "its plot", "this director", "every scene", "the young cast", "act one")
_VERBS = ("never finds", "quietly earns", "hardly needs", "always deserves", "almost keeps")
_OBJECTS = ("its own heart", "our attention", "a simple reason", "the applause", "any real depth")
_ENDS = ("from start to finish", "in the very end", "for all its charm", "despite the noise")


class Texts:
    """Movie review sentences: a pool that comes again, and others that never do.

    Sentences of SST-2's training set where `SENTIMENT_SHARED` or `../shared` holds it, else
    sentences put together from a few words.

    Args:
        seed: Two sources with one seed give the same texts.
    """

    def __init__(self, seed: int = 0) -> None:
        random_ = random.Random(seed)
        sentences = _sentences()
        random_.shuffle(sentences)
        words = [sentence.split() for sentence in sentences]
        self._starts = _distinct(" ".join(each[: len(each) // 2]) for each in words)
        self._ends = _distinct(" ".join(each[len(each) // 2 :]) for each in words)
        self.pool = [self._joined(index) for index in range(POOL_SIZE)]
        self._next = POOL_SIZE

    def unique(self) -> Iterator[str]:
        """Yield texts that this source has never yielded before and that the pool lacks."""
        while True:
            self._next += 1
            yield self._joined(self._next)

    def _joined(self, index: int) -> str:
        # Each pass over the starts meets the ends shifted by one more, so that no pair comes
        # twice in as many texts as there are pairs.
        shift, start = divmod(index, len(self._starts))
        return f"{self._starts[start]} {self._ends[(start + shift) % len(self._ends)]}"


def _distinct(parts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(parts))


def _sentences() -> list[str]:
    shared = Path(os.environ.get("SENTIMENT_SHARED", Path(__file__).parents[3] / "shared"))
    file = shared / "data" / "sst2" / "train.tsv"
    if file.is_file():
        rows = file.read_text(encoding="utf-8").splitlines()[1:]
        texts = {row.rpartition("\t")[0].strip() for row in rows}
        return sorted(text for text in texts if len(text.split()) in SENTENCE_WORDS)
    clauses = product(_SUBJECTS, _VERBS, _OBJECTS)
    starts = [f"{subject} {verb} {object_} ," for subject, verb, object_ in clauses]
    ends = [f"and {start} {end}" for start, end in product(starts, _ENDS)]
    return [f"{start} {end}" for start, end in product(starts, ends)]
