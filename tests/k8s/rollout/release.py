"""A small release: what `kubectl kustomize` renders."""

from typing import Any, Final

import yaml

from serve_app.rollout.manifest import Manifest, parse

NAME: Final = "sentiment"
NAMESPACE: Final = "sentiment"
FIRST: Final = "1" * 64
SECOND: Final = "2" * 64
IMAGE: Final = "registry.example.com/sentiment"


def release(digest: str = FIRST, **changes: Any) -> Manifest:
    """Return a manifest; see `rendered`."""
    return parse(rendered(digest, **changes))


def rendered(
    digest: str = FIRST,
    *,
    image: str = IMAGE,
    import_path: str = "serve_app.app:build",
    lab_import_path: str = "",
    max_texts: int = 256,
    strategy: str = "NewCluster",
) -> str:
    """Return a manifest in YAML."""
    applications: list[dict[str, Any]] = [
        {
            "name": "sentiment",
            "import_path": import_path,
            "deployments": [{"name": "Gateway", "user_config": {"max_texts": max_texts}}],
        }
    ]
    if lab_import_path:
        applications.append({"name": "lab", "import_path": lab_import_path})
    pod = {"spec": {"containers": [{"name": "ray", "image": f"{image}@sha256:{digest}"}]}}
    service: dict[str, Any] = {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "upgradeStrategy": {"type": strategy},
            "serveConfigV2": yaml.safe_dump({"applications": applications}),
            "rayClusterConfig": {
                "rayVersion": "2.60.0",
                "headGroupSpec": {"rayStartParams": {}, "template": pod},
                "workerGroupSpecs": [{"groupName": "cpu", "minReplicas": 2, "template": pod}],
            },
        },
    }
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "sentiment-head", "namespace": NAMESPACE},
    }
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    # The namespace last: the tool is to put it first.
    return yaml.safe_dump_all([service, account, namespace])
