"""The lab as a Ray Serve application: `import_path: serve_app.ray_serve.lab:lab`."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle
from starlette.applications import Starlette

from serve_app.api.request_record import RecentFigures
from serve_app.lab.app import FiguresCache, create_lab

SENTIMENT: Final = "sentiment"
ANSWER_TIMEOUT_S: Final = 1.0


@serve.ingress()
class Lab:
    """The deployment of the page and its live figures."""

    def __init__(self) -> None:
        self._gateway: DeploymentHandle[Any] | None = None

    def __serve_build_asgi_app__(self) -> Starlette:
        """Return the application that Serve hosts on this replica."""
        return create_lab(FiguresCache(self._ask))

    async def _ask(self) -> Sequence[RecentFigures]:
        """Return the figures of the gateways that answer in time."""
        try:
            if self._gateway is None:
                # This call blocks, and fails until the service is deployed.
                self._gateway = await asyncio.to_thread(
                    serve.get_deployment_handle, "Gateway", SENTIMENT
                )
            response = self._gateway.broadcast("recent")
            figures = await response.results_async(
                timeout_s=ANSWER_TIMEOUT_S, return_exceptions=True
            )
        except (RayError, RayServeException, TimeoutError):
            return []
        return [each for each in figures if isinstance(each, RecentFigures)]


lab = serve.deployment(name="Lab")(Lab).bind()
