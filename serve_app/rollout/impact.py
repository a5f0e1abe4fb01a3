"""What the operator will do about a changed RayService.

The rules are those of KubeRay 1.7.0: `shouldPrepareNewCluster` and `shouldUpdateCluster` in
`rayservice_controller.go`, `GenerateHashWithoutReplicasAndWorkersToDelete` in `util.go`.
"""

import copy
from enum import Enum
from typing import Any

from serve_app.rollout.manifest import Document


class Impact(Enum):
    """What a change leads to; the value tells it to a person."""

    FIRST = "a first cluster is started"
    NOTHING = "nothing changes in the cluster"
    IN_PLACE = "the running cluster is changed in place"
    NEW_CLUSTER = "a new cluster is started beside the old one, at up to twice the capacity"
    IGNORED = "the operator ignores it: upgradeStrategy.type is None"


def impact(before: Document | None, after: Document) -> Impact:
    """Tell what the operator will do.

    Args:
        before: The RayService as it is, defaults included; None if there is none.
        after: The RayService as it will be, defaults included.
    """
    if before is None:
        return Impact.FIRST
    old, new = before["spec"], after["spec"]
    if old == new:
        return Impact.NOTHING
    groups = len(old["rayClusterConfig"].get("workerGroupSpecs", []))
    # Groups added at the end join the running cluster.
    if _hashed(old["rayClusterConfig"], groups) != _hashed(new["rayClusterConfig"], groups):
        if (new.get("upgradeStrategy") or {}).get("type") == "None":
            return Impact.IGNORED
        return Impact.NEW_CLUSTER
    return Impact.IN_PLACE


def _hashed(cluster: dict[str, Any], groups: int) -> dict[str, Any]:
    """Return the part of a cluster's configuration that a running cluster cannot take over."""
    hashed = copy.deepcopy(cluster)
    hashed.pop("upgradeStrategy", None)
    hashed["workerGroupSpecs"] = hashed.get("workerGroupSpecs", [])[:groups]
    for group in hashed["workerGroupSpecs"]:
        for name in ("replicas", "minReplicas", "maxReplicas"):
            group.pop(name, None)
        group.get("scaleStrategy", {}).pop("workersToDelete", None)
    for group in (hashed.get("headGroupSpec", {}), *hashed["workerGroupSpecs"]):
        pod = group.get("template", {}).get("spec", {})
        pod.pop("tolerations", None)
        pod.pop("schedulingGates", None)
    return hashed
