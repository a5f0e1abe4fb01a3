"""`POST /project/predict`, the service's own form of a prediction."""

from starlette.requests import Request
from starlette.responses import Response

from serve_app.api.answer import predictions
from serve_app.api.exchange import exchange
from serve_app.api.schemas import PredictRequest
from serve_app.gateway.service import SentimentService
from serve_app.scores import Classification


async def predict(service: SentimentService, request: Request) -> Response:
    """Answer with every label of every text.

    Raises:
        ServiceError: The request cannot be answered.
    """
    return await exchange(service, request, PredictRequest, _render)


def _render(_: PredictRequest, labels: tuple[str, ...], found: Classification) -> bytes:
    return predictions(labels, found.texts)
