"""An engine that takes time but computes nothing, for tests of what surrounds it."""

import time
import zlib
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from serve_app.settings import SimulatedCost

# Logits lie within this range, so that scores lie between 0.02 and 0.98.
LOGIT_RANGE: Final = 2.0


class SimulatedEngine:
    """Sleeps for what a pass would cost, and makes logits of the tokens alone.

    The same tokens get the same logits in every process and whatever the texts beside them.

    Args:
        labels: How many labels the model has.
        cost: What a pass costs.
    """

    name: Final[Literal["simulated"]] = "simulated"

    def __init__(self, labels: int, cost: SimulatedCost) -> None:
        self._labels = labels
        self._cost = cost

    def logits(self, token_ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Run one batch; see `Engine.logits`."""
        # Padding is free, as in the ONNX graph, where only attention computes it.
        tokens = sum(map(len, token_ids))
        time.sleep(self._cost.batch_ms / 1e3 + tokens * self._cost.token_us / 1e6)
        return np.array([self._logits(ids) for ids in token_ids], dtype=np.float32)

    def _logits(self, ids: Sequence[int]) -> list[float]:
        text = np.asarray(ids, dtype="<i4").tobytes()
        checks = [zlib.crc32(text, label) / 2**32 for label in range(self._labels)]
        return [LOGIT_RANGE * (2 * check - 1) for check in checks]
