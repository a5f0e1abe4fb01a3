"""What a container of the image has to do: as Docker starts it, and as KubeRay does."""

import json
import secrets
from pathlib import Path
from typing import Final

from serve_app.ray_serve.config import read
from tests.image.container import Container
from tests.image.image import Image

START_S: Final = 180.0
PRODUCTION: Final = "configs/prod.yaml"
ALONE: Final = "configs/container.yaml"
TEXTS: Final = ("I love this!", "What a waste.")
SERVICE: Final = "http://127.0.0.1:8000"
PREDICT: Final = f"{SERVICE}/project/predict"
INFO: Final = f"{SERVICE}/project/info"
READY: Final = ("wget", "-q", "-O", "/dev/null", f"{SERVICE}/project/ready")

# https://github.com/ray-project/kuberay/blob/v1.7.0/ray-operator/controllers/ray/common/pod.go
RAY_START: Final = (
    "ulimit -n 65536; ray start --head --block --dashboard-host=0.0.0.0 --num-cpus=4 "
    "--memory=4294967296 --metrics-export-port=8080 --dashboard-agent-listen-port=52365"
)
WORKER_PROBE: Final = (
    "wget --tries 1 -T 2 -q -O- http://localhost:52365/api/local_raylet_healthz | grep success && "
    "wget --tries 1 -T 10 -q -O- http://localhost:8000/-/healthz | grep success"
)

# The autoscaler beside the head, and the job that removes a cluster's state from Redis.
OTHER_CONTAINERS: Final = (
    "ray kuberay-autoscaler --help && "
    "python -c 'from ray._private.gcs_utils import cleanup_redis_storage'"
)


def serves_alone(image: Image, directory: Path, *, engine: str = "auto") -> str:
    """Start the image's own command, predict, and stop it; return what was seen.

    Args:
        image: The image.
        directory: For the container's files.
        engine: What runs the model, where it is not to be the configuration's `auto`.

    Raises:
        RuntimeError: The container does not come up.
        AssertionError: It does, but is not what it ought to be.
    """
    command = None
    if engine != "auto":
        change = f"sed 's/engine: auto/engine: {engine}/' {ALONE} > /tmp/other.yaml"
        command = ["tini", "--", "bash", "-c", f"{change} && exec sentiment serve /tmp/other.yaml"]
    kind, *healthcheck = image.settings["Healthcheck"]["Test"]
    assert kind == "CMD", "a healthcheck by a shell"
    with Container(image, directory, command) as container:
        seconds = container.until(START_S, *healthcheck)
        check_confinement(container)
        model = check_prediction(container)
        check_routes(container, image, ALONE)
        assert engine == "auto" or model.endswith(engine), f"answered by {model}"
        status = container.stop()
        assert status == 0, f"SIGTERM ended it with status {status}:\n{container.log}"
    return f"healthy after {seconds:.0f} s, answered by {model}, ended by SIGTERM"


def serves_under_kuberay(image: Image, directory: Path) -> str:
    """Start Ray as KubeRay does, deploy the production configuration, predict.

    Raises:
        RuntimeError: Ray or the application does not come up.
        AssertionError: An answer is wrong.
    """
    environment = read(image.root / "opt/sentiment" / PRODUCTION)["environment"] | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(),
        "SENTIMENT_CACHE_URL": "memory://",
    }
    with Container(image, directory, ["bash", "-c", "--", RAY_START], environment) as container:
        container.until(START_S, "ray", "health-check")
        container.until(START_S, "serve", "deploy", PRODUCTION)
        seconds = container.until(START_S, *READY)
        probe = container.run("bash", "-c", WORKER_PROBE)
        assert probe.returncode == 0, f"KubeRay's own worker probe: {probe.stderr}"
        model = check_prediction(container)
        check_routes(container, image, PRODUCTION)
        others = container.run("bash", "-lc", OTHER_CONTAINERS)
        assert others.returncode == 0, f"KubeRay's other containers: {others.stderr}"
    return f"ready {seconds:.0f} s after the deployment, answered by {model}"


def knows(image: Image, source: str, directory: Path) -> str:
    """Make sure that an image holds its model, prepared, and return what it says of it.

    Args:
        image: The image.
        source: What its model ought to be known by.
        directory: For the container's files.

    Raises:
        AssertionError: It knows another model, or not all of it.
    """
    named = image.environment["SENTIMENT_MODEL"]
    assert named == source, f"$SENTIMENT_MODEL is {named}, not {source}"
    with Container(image, directory, ["sleep", "infinity"]) as container:
        container.until(START_S, "true")
        info = container.run("sentiment", "model", "info", source)
    assert info.returncode == 0, f"no model: {info.stderr}"
    known = dict(line.split(maxsplit=1) for line in info.stdout.splitlines())
    assert known["prepared"].startswith("/models/"), f"not prepared:\n{info.stdout}"
    return f"{known['model_id']} {known['revision']}, prepared"


def check_confinement(container: Container) -> None:
    """Make sure that the container is as confined as the restricted profile asks.

    Raises:
        AssertionError: It is not.
    """
    status = container.run("cat", "/proc/1/status").stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert "0" not in fields["Uid"].split(), "it runs as root"
    assert int(fields["CapBnd"], 16) == 0, "it may gain capabilities"
    assert fields["NoNewPrivs"] == "1", "it may gain privileges"
    for directory in ("/", "/opt/sentiment", "/home/sentiment", "/models", "/var/tmp"):
        touched = container.run("touch", f"{directory}/touched")
        assert "Read-only file system" in touched.stderr, f"{directory} is writable"


def check_prediction(container: Container) -> str:
    """Predict two texts, and return the model, revision and engine that answered.

    Raises:
        AssertionError: The answer is not that of the contract.
    """
    body = json.dumps({"text": TEXTS})
    done = container.run("wget", "-S", "-q", "-O", "-", f"--post-data={body}", PREDICT)
    assert done.returncode == 0, f"no prediction: {done.stderr}"
    best = [labels[0]["label"] for labels in json.loads(done.stdout)["predictions"]]
    assert best == ["POSITIVE", "NEGATIVE"], f"wrong answer: {done.stdout}"
    headers = dict(line.strip().split(": ", 1) for line in done.stderr.splitlines() if ": " in line)
    lower = {name.lower(): value for name, value in headers.items()}
    info = json.loads(container.run("wget", "-q", "-O", "-", INFO).stdout)
    return f"{lower['x-model-id']} {lower['x-model-revision']} on {info['engine']}"


def check_routes(container: Container, image: Image, config: str) -> None:
    """Make sure that each application with a route of its own answers there.

    The service may be ready before them.

    Raises:
        RuntimeError: One does not.
    """
    for application in read(image.root / "opt/sentiment" / config)["applications"]:
        if (route := application["route_prefix"]) != "/":
            container.until(START_S, "wget", "-q", "-O", "/dev/null", f"{SERVICE}{route}")
