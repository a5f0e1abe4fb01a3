"""Our service as in production, on one machine and with a Redis of its own."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import psutil
import yaml

from serve_app.config import read
from tests.serve.redis_server import RedisServer
from tests.serve.service import Service, free_port

PROD: Final = Path(__file__).parents[2] / "configs" / "prod.yaml"
PATH: Final = "/project/predict"
ENGINE: Final = "onnx-int8"
# Fractions, so that the replicas of all deployments fit the machine. A replica of a classifier
# still runs on one thread.
GATEWAY_CPUS: Final = 0.1
CLASSIFIER_CPUS: Final = 0.8


def production_config(directory: Path, gateways: int) -> Path:
    """Write the production configuration for this machine: a classifier for each core.

    Args:
        directory: Where to write it.
        gateways: Replicas of the gateway.
    """
    content = read(PROD)
    content["http_options"] = {"host": "127.0.0.1", "port": free_port()}
    replicas = {"Gateway": gateways, "Classifier": len(os.sched_getaffinity(0))}
    cpus = {"Gateway": GATEWAY_CPUS, "Classifier": CLASSIFIER_CPUS}
    for deployment in content["applications"][0]["deployments"]:
        name = deployment["name"]
        deployment["autoscaling_config"] |= {
            "min_replicas": replicas[name],
            "max_replicas": replicas[name],
        }
        deployment["ray_actor_options"]["num_cpus"] = cpus[name]
    path = directory / "bench.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


class BenchedService(NamedTuple):
    """A running service and its Redis.

    Attributes:
        url: Its base address.
        processes: Finds the processes of both.
    """

    url: str
    processes: Callable[[], list[psutil.Process]]


@contextmanager
def running(model: str, gateways: int) -> Iterator[BenchedService]:
    """Run the service and its Redis.

    Args:
        model: Where the model comes from.
        gateways: Replicas of the gateway.
    """
    with TemporaryDirectory() as directory, RedisServer() as redis:
        config = production_config(Path(directory), gateways)
        environment = {"SENTIMENT_MODEL": model, "SENTIMENT_CACHE_URL": redis.url}
        with Service(config, **environment) as service:
            yield BenchedService(
                service.url, lambda: [*service.processes(), psutil.Process(redis.pid)]
            )
