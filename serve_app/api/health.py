"""`GET /project/health` and `GET /project/ready`: is the process live, would it answer?"""

from starlette.requests import Request
from starlette.responses import Response

from serve_app.api.deadline import deadline
from serve_app.api.problems import problem
from serve_app.api.schemas import Health, Ready
from serve_app.errors import ModelUnavailable
from serve_app.gateway.service import SentimentService

_HEALTHY = Health().model_dump_json().encode()


async def health(_: SentimentService, __: Request) -> Response:
    """Answer as long as the process can."""
    return Response(_HEALTHY, media_type="application/json")


async def ready(service: SentimentService, request: Request) -> Response:
    """Answer 200 when a prediction would succeed now, else 503 with the parts' states.

    Raises:
        DeadlineExceeded: The parts did not answer within a request's deadline.
    """
    async with deadline(service.settings.deadline_s):
        state = await service.readiness()
    if state.model == "unavailable":
        error = ModelUnavailable("No model replica answers at the moment.")
        return problem(request, error, **state._asdict())
    return Response(Ready(cache=state.cache).model_dump_json(), media_type="application/json")
