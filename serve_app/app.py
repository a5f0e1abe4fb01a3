"""The application that Ray Serve builds: `import_path: serve_app.app:build`.

Ray reads the annotation of `build` to validate the arguments, so this module must not postpone
the evaluation of annotations.
"""

import logging
from typing import Final

from ray import serve
from ray.serve import Application

from serve_app.export.prepare import resolve_engine
from serve_app.model.store import resolve
from serve_app.ray_serve.classifier import Classifier
from serve_app.ray_serve.classifier_client import FewestCallsRouter
from serve_app.ray_serve.gateway import GatewayIngress
from serve_app.settings import AppArgs, ClassifierSettings, GatewaySettings

logger = logging.getLogger("serve_app")

ROUTER: Final = f"{FewestCallsRouter.__module__}:{FewestCallsRouter.__qualname__}"


def build(args: AppArgs) -> Application:
    """Connect the gateway to the classifier, given the arguments of the configuration file.

    Raises `StartupError` if the model cannot be served, or the cache URL is missing.
    """
    args.cache_url()
    model = resolve(args.model_source())
    engine = resolve_engine(model, args.engine, logger.info)
    classifier = serve.deployment(
        name="Classifier",
        user_config=ClassifierSettings().model_dump(),
        request_router_config={"request_router_class": ROUTER},
    )(Classifier).bind(args.model_source(), model.digest, engine, args.simulated, args.log_form)
    return serve.deployment(name="Gateway", user_config=GatewaySettings().model_dump())(
        GatewayIngress
    ).bind(classifier, args, model, engine)
