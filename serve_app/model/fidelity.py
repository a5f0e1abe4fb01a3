"""How faithful one engine is to another: measures and bounds."""

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
class Fidelity:
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
) -> Fidelity:
    """Measure a candidate's logits against the reference's.

    Args:
        reference: Logits of the reference, shape [texts, labels].
        candidate: Logits of the candidate in mixed batches, same shape.
        candidate_alone: Logits of the candidate, one text a batch, same shape.
    """
    expected, seen = probabilities(reference), probabilities(candidate)
    off = np.abs(expected - seen).max(axis=1)
    return Fidelity(
        texts=len(expected),
        flips=float((expected.argmax(axis=1) != seen.argmax(axis=1)).mean()),
        far=float((off > FAR).mean()),
        worst=float(off.max()),
        variance=float(np.abs(seen - probabilities(candidate_alone)).max()),
    )
