"""`POST /project/predict`, the service's own form of a prediction."""

from typing import Final

from serve_app.api.answer import predictions
from serve_app.api.dialect import Dialect
from serve_app.api.schemas import PredictRequest
from serve_app.scores import Classification


def _render(_: PredictRequest, labels: tuple[str, ...], found: Classification) -> bytes:
    return predictions(labels, found.texts)


PREDICT: Final = Dialect(PredictRequest, _render)
