"""Our service as in production, on one machine and with a Redis of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from loadtest.machine import cores
from loadtest.ports import free_port
from loadtest.redis_server import RedisServer
from loadtest.service import Service, started
from serve_app.ray_serve.config import read
from serve_app.settings import ClassifierSettings, EngineName

PROD: Final = Path(__file__).parents[2] / "configs" / "prod.yaml"
ENGINE: Final[EngineName] = "onnx-int8"
PATH: Final = "/project/predict"
# Fractions, so that the replicas of all deployments fit the machine. A replica of a classifier
# still runs on one thread.
GATEWAY_CPUS: Final = 0.1
CLASSIFIER_CPUS: Final = 0.8


def production_config(model: str, gateways: int) -> dict[str, Any]:
    """Return the production configuration for this machine: a classifier for each core.

    Args:
        model: Where the model comes from.
        gateways: Replicas of the gateway.
    """
    content = read(PROD)
    content["metrics_port"] = free_port()
    # Without the lab, whose replica would share the cores.
    application = content["applications"][0]
    content["applications"] = [application]
    application["args"] |= {"model": model, "engine": ENGINE}
    replicas = {"Gateway": gateways, "Classifier": cores()}
    cpus = {"Gateway": GATEWAY_CPUS, "Classifier": CLASSIFIER_CPUS}
    for deployment in application["deployments"]:
        name = deployment["name"]
        deployment["autoscaling_config"] |= {
            "min_replicas": replicas[name],
            "max_replicas": replicas[name],
        }
        deployment["ray_actor_options"]["num_cpus"] = cpus[name]
    return content


def max_batch_tokens() -> int:
    """Return how many tokens production lets through the model in one pass."""
    classifier = read(PROD)["applications"][0]["deployments"][1]
    return ClassifierSettings.model_validate(classifier["user_config"]).max_batch_tokens


@contextmanager
def running(model: str, gateways: int) -> Iterator[Service]:
    """Run the service and its Redis.

    Args:
        model: Where the model comes from.
        gateways: Replicas of the gateway.

    Raises:
        StartupError: It does not start.
    """
    config = production_config(model, gateways)
    with (
        TemporaryDirectory() as directory,
        RedisServer() as redis,
        started(config, redis, Path(directory)) as service,
    ):
        yield service
