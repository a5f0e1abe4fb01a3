"""The texts that every system is asked about."""

import os
import random
from collections.abc import Iterator
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
        self._starts, self._ends = _halves()
        random_.shuffle(self._starts)
        random_.shuffle(self._ends)
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


def _halves() -> tuple[list[str], list[str]]:
    """Return first and second halves of sentences, each once."""
    shared = Path(os.environ.get("SENTIMENT_SHARED", Path(__file__).parents[3] / "shared"))
    file = shared / "data" / "sst2" / "train.tsv"
    if not file.is_file():
        clauses = [" ".join(words) for words in product(_SUBJECTS, _VERBS, _OBJECTS)]
        return clauses, [f"and {clause} {end}" for clause, end in product(clauses, _ENDS)]
    rows = file.read_text(encoding="utf-8").splitlines()[1:]
    sentences = [row.rpartition("\t")[0].split() for row in rows]
    kept = [words for words in sentences if len(words) in SENTENCE_WORDS]
    return (
        sorted({" ".join(words[: len(words) // 2]) for words in kept}),
        sorted({" ".join(words[len(words) // 2 :]) for words in kept}),
    )
