"""Rendered manifests and what the checks look up in them."""

import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).parents[2]
OVERLAYS: Final = ROOT / "kuberay" / "overlays"

Object = dict[str, Any]


def render(overlay: Path) -> list[Object]:
    """Return the objects that an overlay stands for; skip where no kustomize is installed."""
    own = Path(sys.executable).with_name("kustomize")
    if shutil.which("kubectl"):
        command = ["kubectl", "kustomize"]
    elif kustomize := shutil.which("kustomize") or shutil.which(own):
        command = [kustomize, "build"]
    else:
        pytest.skip("needs kubectl or kustomize, which `make kustomize` installs")
    run = subprocess.run([*command, str(overlay)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return list(yaml.safe_load_all(run.stdout))


def of_kind(objects: Iterable[Object], *kinds: str) -> list[Object]:
    return [each for each in objects if each["kind"] in kinds]


def named(objects: Iterable[Object], kind: str, name: str) -> Object:
    return next(each for each in of_kind(objects, kind) if each["metadata"]["name"] == name)


def ray_service(objects: Iterable[Object]) -> Object:
    (service,) = of_kind(objects, "RayService")
    return service


def serve_config(objects: Iterable[Object]) -> Object:
    content: Object = yaml.safe_load(ray_service(objects)["spec"]["serveConfigV2"])
    return content


def deployments(objects: Iterable[Object]) -> list[Object]:
    return [each for app in serve_config(objects)["applications"] for each in app["deployments"]]


def replicas(deployment: Object) -> tuple[int, int]:
    """Return the minimum and the maximum of a deployment's replicas."""
    scaling = deployment.get("autoscaling_config")
    if scaling:
        return scaling["min_replicas"], scaling["max_replicas"]
    number = deployment.get("num_replicas", 1)
    return number, number


def replica_cpus(deployment: Object) -> float:
    return float(deployment.get("ray_actor_options", {}).get("num_cpus", 1))


def head_template(objects: Iterable[Object]) -> Object:
    template: Object = ray_service(objects)["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]
    return template


def worker_groups(objects: Iterable[Object]) -> list[Object]:
    groups: list[Object] = ray_service(objects)["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    return groups


def head_container(objects: Iterable[Object]) -> Object:
    container: Object = head_template(objects)["spec"]["containers"][0]
    return container


def worker_container(objects: Iterable[Object]) -> Object:
    (group,) = worker_groups(objects)
    container: Object = group["template"]["spec"]["containers"][0]
    return container


def pod_templates(objects: Iterable[Object]) -> Iterator[tuple[str, Object]]:
    """Yield each pod template with the place it stands at."""
    objects = list(objects)
    yield "head", head_template(objects)
    for group in worker_groups(objects):
        yield f"workers {group['groupName']}", group["template"]
    for each in of_kind(objects, "Deployment", "StatefulSet", "DaemonSet", "Job"):
        yield f"{each['kind']} {each['metadata']['name']}", each["spec"]["template"]


def containers(template: Object) -> list[Object]:
    spec = template["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def environment(container: Object) -> dict[str, Object]:
    return {variable["name"]: variable for variable in container.get("env", [])}


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """Tell whether a label selector matches; an empty one matches everything."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for term in selector.get("matchExpressions", []):
        if term["operator"] != "In":
            raise NotImplementedError(term["operator"])
        if labels.get(term["key"]) not in term["values"]:
            return False
    return True


def cpus(quantity: str | int) -> float:
    text = str(quantity)
    return float(text.removesuffix("m")) / 1000 if text.endswith("m") else float(text)


def seconds(duration: str) -> float:
    """Read a duration of the Gateway API or of Istio, given in whole seconds."""
    return float(duration.removesuffix("s"))
