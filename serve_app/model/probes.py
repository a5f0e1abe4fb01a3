"""Sentences that engines are compared on when a model is prepared.

Composed, not collected: they cover short and long, plain, negated and mixed opinions, and need
no data set on the machine that prepares a model.
"""

import random
from typing import Final

SENTENCES: Final = 480
LONG_TEXTS: Final = 16
LONG_TEXT_SENTENCES: Final = 80

_SUBJECTS: Final = (
    "The film", "This book", "The service", "Her performance", "The battery", "My new phone",
    "The hotel room", "That restaurant", "The plot", "His latest album", "The support team",
    "The update", "Our guide", "The dialogue", "The camera work", "Everything about it",
)  # fmt: skip
_VERBS: Final = (
    "is", "was", "isn't", "was not", "felt", "turned out to be", "never seems", "is hardly",
    "could have been", "used to be", "remains", "looks",
)  # fmt: skip
_DEGREES: Final = ("", "very", "a bit", "surprisingly", "not at all", "almost", "too", "rather")
_OPINIONS: Final = (
    "wonderful", "awful", "dull", "charming", "slow", "reliable", "forgettable", "moving",
    "broken", "fine", "overpriced", "hilarious", "clumsy", "fresh", "ordinary", "superb",
    "a mess", "worth every minute", "beyond repair", "better than expected",
)  # fmt: skip
_CLAUSES: Final = (
    "", "but I would go again", "and nobody cared", "although the ending saves it",
    "which is a shame", "and I loved every second", "so I want my money back",
    "if you can forgive the noise", "despite what the critics say", "for the third time",
)  # fmt: skip
_ENDINGS: Final = (".", "!", "...", "?", " .", "")


def probe_texts() -> list[str]:
    """Return the same sentences and long texts every time."""
    choice = random.Random(0).choice

    def sentence() -> str:
        words = (choice(_SUBJECTS), choice(_VERBS), choice(_DEGREES), choice(_OPINIONS))
        clause = choice(_CLAUSES)
        return " ".join(filter(None, (*words, clause))) + choice(_ENDINGS)

    short = [sentence() for _ in range(SENTENCES)]
    long = [" ".join(sentence() for _ in range(LONG_TEXT_SENTENCES)) for _ in range(LONG_TEXTS)]
    return [*short, *long, "", " ", "ok", "😀 👍", "Größe, naïveté & déjà vu"]
