"""`GET /project/info`: which model answers, within which limits, on which software."""

import platform
from functools import cache
from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import Response

from serve_app.api.schemas import Info, Limits
from serve_app.gateway.service import SentimentService


async def info(service: SentimentService, _: Request) -> Response:
    """Answer with what a client may want to know before it sends texts."""
    model, settings = service.model, service.settings
    answer = Info(
        model=model.model_id,
        revision=model.revision,
        digest=model.digest,
        engine=service.engine,
        labels=list(model.labels),
        limits=Limits(
            max_texts=settings.max_texts,
            max_chars=settings.max_chars,
            max_body_bytes=settings.max_body_bytes,
            max_tokens=model.max_tokens,
            deadline_s=settings.deadline_s,
        ),
        versions=versions(),
    )
    return Response(answer.model_dump_json(), media_type="application/json")


@cache
def versions() -> dict[str, str]:
    """Return the versions of what scores can depend on."""
    packages = ("sentiment-serve", "ray", "onnxruntime")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}
