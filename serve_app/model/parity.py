"""How faithful one engine is to another: measures and bounds."""

import random
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Bounds(NamedTuple):
    """What an engine must keep to be served.

    Attributes:
        flips: Largest share of texts whose label may differ from the reference's.
        far: Largest share of texts with a probability off by more than `FAR`.
        variance: Largest difference of one text's probability alone and beside others.
    """

    flips: float
    far: float
    variance: float


FAR: Final = 0.1

BOUNDS: Final = {
    "onnx-int8": Bounds(flips=0.007, far=0.005, variance=1e-3),
    "onnx-fp32": Bounds(flips=0.0, far=0.0, variance=1e-5),
}


@dataclass(frozen=True)
class Parity:
    """How far an engine's probabilities are from the reference's.

    Attributes:
        texts: Texts compared.
        flips: Share of texts with another label.
        far: Share of texts with a probability off by more than `FAR`.
        worst: Largest difference of a probability.
        variance: Largest difference of one text's probability alone and beside others.
    """

    texts: int
    flips: float
    far: float
    worst: float
    variance: float

    def refusal(self, engine: str) -> str:
        """Return why the engine must not be served; empty when it may be."""
        bounds = BOUNDS[engine]
        broken = [
            f"{name} {measured:.3g} > {bound:.3g}"
            for name, measured, bound in zip(
                Bounds._fields, (self.flips, self.far, self.variance), bounds, strict=True
            )
            if measured > bound
        ]
        return ", ".join(broken)


def probabilities(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the softmax over the last axis, in float64.

    Args:
        logits: Shape [texts, labels].
    """
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    result: NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return result


def compare(
    reference: NDArray[np.floating],
    candidate: NDArray[np.floating],
    candidate_alone: NDArray[np.floating],
) -> Parity:
    """Measure a candidate's logits against the reference's.

    Args:
        reference: Logits of the reference, shape [texts, labels].
        candidate: Logits of the candidate in mixed batches, same shape.
        candidate_alone: Logits of the candidate, one text a batch, same shape.
    """
    expected, seen = probabilities(reference), probabilities(candidate)
    off = np.abs(expected - seen).max(axis=1)
    return Parity(
        texts=len(expected),
        flips=float((expected.argmax(axis=1) != seen.argmax(axis=1)).mean()),
        far=float((off > FAR).mean()),
        worst=float(off.max()),
        variance=float(np.abs(seen - probabilities(candidate_alone)).max()),
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
_MIXED_SHARE: Final = 0.1


def verification_texts() -> list[str]:
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
