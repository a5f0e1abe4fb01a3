"""Our service as in production, on one machine and with a Redis of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from loadtest.configs import PROD
from loadtest.machine import cores
from loadtest.redis_server import RedisServer
from loadtest.service import Running, started
from serve_app.ray_serve.config import read
from serve_app.settings import ClassifierSettings, EngineName

ENGINE: Final[EngineName] = "onnx-int8"
PATH: Final = "/project/predict"
# Fractions, so that the replicas of all deployments fit the machine. A replica of a classifier
# still runs on one thread.
CPUS: Final = {"Gateway": 0.1, "Classifier": 0.8}


def production_config(model: str, gateways: int) -> dict[str, Any]:
    """Return the production configuration for this machine: a classifier for each core."""
    content = read(PROD)
    # Without the lab, whose replica would share the cores.
    application = content["applications"][0]
    content["applications"] = [application]
    application["args"] |= {"model": model, "engine": ENGINE}
    replicas = {"Gateway": gateways, "Classifier": cores()}
    for deployment in application["deployments"]:
        count = replicas[deployment["name"]]
        deployment["autoscaling_config"] |= {"min_replicas": count, "max_replicas": count}
        deployment["ray_actor_options"]["num_cpus"] = CPUS[deployment["name"]]
    return content


def max_batch_tokens() -> int:
    """Return how many tokens production lets through the model at once."""
    classifier = read(PROD)["applications"][0]["deployments"][1]
    return ClassifierSettings.model_validate(classifier["user_config"]).max_batch_tokens


@contextmanager
def running(model: str, gateways: int) -> Iterator[Running]:
    """Run the service and its Redis.

    Raises:
        StartupError: It does not start.
    """
    with (
        TemporaryDirectory() as directory,
        RedisServer() as redis,
        started(production_config(model, gateways), redis, Path(directory)) as service,
    ):
        yield service
