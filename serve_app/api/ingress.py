"""The gateway as a Ray Serve deployment that takes HTTP."""

from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from serve_app.api.app import create_app
from serve_app.cache.score_cache import open_cache
from serve_app.fanout.client import ClassifierClient
from serve_app.gateway.gateway import Gateway
from serve_app.model.identity import ModelIdentity
from serve_app.settings import AppArgs, EngineName, GatewaySettings


@serve.ingress()
class GatewayIngress:
    """Hosts the HTTP application over a gateway.

    Args:
        classifier: Handle of the classifier deployment.
        args: The application's arguments; the cache URL is read from the environment here, so
            that no secret is part of what Serve stores.
        model: The model that answers.
        engine: The engine that runs it.
    """

    def __init__(
        self,
        classifier: DeploymentHandle[Any],
        args: AppArgs,
        model: ModelIdentity,
        engine: EngineName,
    ) -> None:
        settings = GatewaySettings()
        self._gateway = Gateway(
            model,
            engine,
            open_cache(args.cache_url(), len(model.labels), settings),
            ClassifierClient(classifier, model.digest),
            settings,
        )

    def reconfigure(self, user_config: dict[str, object]) -> None:
        """Apply new tunables without a restart."""
        self._gateway.reconfigure(GatewaySettings.model_validate(user_config))

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Return the application that Serve hosts on this replica."""
        return create_app(self._gateway)

    async def __del__(self) -> None:
        """Finish pending writes; Serve calls this when the replica is to end."""
        await self._gateway.aclose()
