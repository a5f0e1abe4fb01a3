"""Parity of an engine with torch: measures, bounds and the texts to verify with."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.model.config import Transform

FAR: Final = 0.1


class Bounds(NamedTuple):
    """Largest `flips`, `far` and `variance` of an engine that may be served; see `Parity`."""

    flips: float
    far: float
    variance: float


BOUNDS: Final = {
    "onnx-int8": Bounds(flips=0.007, far=0.005, variance=1e-3),
    "onnx-fp32": Bounds(flips=0.0, far=0.0, variance=1e-5),
}


@dataclass(frozen=True)
class Parity:
    """Distance of an engine's probabilities from the reference's.

    `flips` is the share of texts with another label, `far` that of texts with a probability off by
    more than `FAR`. `worst` is the largest difference of a probability, `variance` the largest of
    one text's probability alone and beside others.
    """

    texts: int
    flips: float
    far: float
    worst: float
    variance: float

    def refusal(self, engine: str) -> str:
        """Return the bounds that the engine breaks; empty when it may be served."""
        return ", ".join(
            f"{name} {getattr(self, name):.3g} > {bound:.3g}"
            for name, bound in BOUNDS[engine]._asdict().items()
            if not getattr(self, name) <= bound  # a NaN is no good either
        )


def probabilities(
    logits: NDArray[np.floating], transform: Transform = "softmax"
) -> NDArray[np.float64]:
    """Return the softmax over the last axis, that of labels, or all sigmoids, in float64."""
    if transform == "sigmoid":
        # Exact for small ones too, without overflow.
        sigmoids: NDArray[np.float64] = np.exp(-np.logaddexp(0, -logits.astype(np.float64)))
        return sigmoids
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    result: NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return result


def compare(
    reference: NDArray[np.floating],
    candidate: NDArray[np.floating],
    candidate_alone: NDArray[np.floating],
    transform: Transform = "softmax",
) -> Parity:
    """Measure a candidate's logits, in mixed batches and alone, against the reference's.

    All are of shape [texts, labels].
    """
    expected, measured = probabilities(reference, transform), probabilities(candidate, transform)
    off = np.abs(expected - measured).max(axis=1)
    return Parity(
        texts=len(expected),
        flips=float((expected.argmax(axis=1) != measured.argmax(axis=1)).mean()),
        far=float((off > FAR).mean()),
        worst=float(off.max()),
        variance=float(np.abs(measured - probabilities(candidate_alone, transform)).max()),
    )


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
MAX_GIVEN: Final = 100
_ODD: Final = (
    "GOOD Film, ÀÉÎ ÅÄÖ ß \u0130I \u0131i ŁÓDŹ", "cafe\u0301 e\u0300 A\u030a", "  two  spaces  ",
    "tab\tline\nend\r\n", "zero\x00one\x07two\ufffd", "a\u00a0b\u200bc\u200dd\ufeff", "x" * 300,
    "电影很好看 映画は良い 영화 좋아요", "فيلم رائع שלום", "ฟิล์มดีมาก नमस्ते \u0425\u041e\u0420",
    "\uff46\uff55\uff4c\uff4c\u3000\uff57 \ufb01ne ½ ² ™", "😀\u200d😀 ❤️ :-)", "it's don't I'll",
    "a.b,c;d-e_f/g\\h#i@j 1,234.56", "https://example.org/?q=1&r=2", "é" * 120, "!?" * 40,
    "▁good ##film Ġbad </w>", "\U0001f1e9\U0001f1ea \U00010330", "<b>good</b> &amp;",
)  # fmt: skip
_MIXED_SHARE: Final = 0.1


def verification_texts() -> list[str]:
    """Return sentences and long texts, the same ones in every call."""
    rng = random.Random(0)
    short = [_sentence(rng) for _ in range(SENTENCES)]
    long = [" ".join(_sentence(rng) for _ in range(LONG_TEXT_SENTENCES)) for _ in range(LONG_TEXTS)]
    return [*short, *long, "", " ", "ok", "😀 👍", "Größe, naïveté & déjà vu"]


def odd_texts(tokens: Sequence[object]) -> list[str]:
    """Return texts in which tokenizers differ: case, accents, scripts, spaces, special tokens."""
    given = [str(getattr(token, "content", token)) for token in tokens[:MAX_GIVEN]]
    return [*_ODD, *given, *(f"good{token} {token.lower()} bad" for token in given)]


def _sentence(rng: random.Random) -> str:
    opinion = rng.randrange(2)
    negated = rng.random() < _NEGATED_SHARE
    mixed = rng.random() < _MIXED_SHARE
    parts = (
        rng.choice(_SUBJECTS),
        rng.choice(_NEGATED_VERBS if negated else _VERBS),
        rng.choice(_DEGREES),
        rng.choice(_OPINIONS[opinion]),
        rng.choice(_TURNS if mixed else _CLAUSES[opinion != negated]),
    )
    return " ".join(filter(None, parts)) + rng.choice(_ENDINGS)
