"""Sentences that engines are compared on when a model is prepared.

Composed, not collected: they cover short and long, plain, negated and mixed opinions, and need
no data set on the machine that prepares a model.
"""

import random
from typing import Final

SENTENCES: Final = 984
LONG_TEXTS: Final = 16
LONG_TEXT_SENTENCES: Final = 80

_SUBJECTS: Final = (
    "The film", "This book", "The service", "Her performance", "The battery", "My new phone",
    "The hotel room", "That restaurant", "The plot", "His latest album", "The support team",
    "The update", "Our guide", "The dialogue", "The camera work", "Everything about it",
)  # fmt: skip
_VERBS: Final = ("is", "was", "felt", "turned out to be", "looks", "seemed")
_NEGATED_VERBS: Final = ("isn't", "was not", "is hardly", "never felt")
_DEGREES: Final = ("", "", "", "very", "surprisingly", "really", "so", "quite")
_OPINIONS: Final = (
    (
        "awful", "dull", "painfully slow", "forgettable", "broken", "overpriced", "clumsy",
        "boring", "a mess", "a waste of time",
    ),
    (
        "wonderful", "charming", "reliable", "moving", "delightful", "hilarious", "refreshing",
        "superb", "worth every minute", "better than expected",
    ),
)  # fmt: skip
_CLAUSES: Final = (
    ("", "", "and nobody cared", "which is a shame", "so I want my money back"),
    ("", "", "and I would go again", "and I loved every second", "and my family agrees"),
)
_TURNS: Final = ("although the ending saves it", "but not for everyone", "despite the noise")
_ENDINGS: Final = (".", ".", "!", "...", " .", "")

_NEGATED_SHARE: Final = 0.15
_MIXED_SHARE: Final = 0.1


def probe_texts() -> list[str]:
    """Return the same sentences and long texts every time."""
    source = random.Random(0)
    short = [_sentence(source) for _ in range(SENTENCES)]
    long = [
        " ".join(_sentence(source) for _ in range(LONG_TEXT_SENTENCES)) for _ in range(LONG_TEXTS)
    ]
    return [*short, *long, "", " ", "ok", "😀 👍", "Größe, naïveté & déjà vu"]


def _sentence(source: random.Random) -> str:
    opinion = source.randrange(2)
    negated = source.random() < _NEGATED_SHARE
    mixed = source.random() < _MIXED_SHARE
    parts = (
        source.choice(_SUBJECTS),
        source.choice(_NEGATED_VERBS if negated else _VERBS),
        source.choice(_DEGREES),
        source.choice(_OPINIONS[opinion]),
        source.choice(_TURNS if mixed else _CLAUSES[opinion != negated]),
    )
    return " ".join(filter(None, parts)) + source.choice(_ENDINGS)
