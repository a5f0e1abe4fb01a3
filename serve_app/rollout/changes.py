"""What a manifest would change, object by object."""

import copy
import difflib
from enum import Enum
from typing import Any, Final

import yaml

from serve_app.rollout.manifest import Document

# What the API server writes by itself.
_OF_THE_SERVER: Final = (
    "creationTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
)
_APPLIED_BY_KUBECTL: Final = "kubectl.kubernetes.io/last-applied-configuration"


def difference(before: Document | None, after: Document) -> str:
    """Return a unified diff of two states of an object; empty where they are the same.

    Args:
        before: The object as it is; None if there is none.
        after: The object as it would be.
    """
    name = f"{after['kind']} {after['metadata']['name']}"
    old, new = _shown(before), _shown(after)
    if after["kind"] == "Secret":
        _hide(old, new)
    lines = difflib.unified_diff(
        _lines(old) if before else [], _lines(new), f"{name} (live)", f"{name} (manifest)"
    )
    return "".join(lines)


def _shown(document: Document | None) -> Document:
    shown = copy.deepcopy(document or {})
    shown.pop("status", None)
    metadata = shown.get("metadata", {})
    for key in _OF_THE_SERVER:
        metadata.pop(key, None)
    metadata.get("annotations", {}).pop(_APPLIED_BY_KUBECTL, None)
    return shown


def _hide(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Replace a Secret's values by whether they change."""
    for part in ("data", "stringData"):
        was, will = old.get(part) or {}, new.get(part) or {}
        for key in will:
            will[key] = "hidden" if will[key] == was.get(key) else "hidden, changed"
        for key in was:
            was[key] = "hidden"


class _Dumper(yaml.SafeDumper):
    """Writes a text of several lines, such as a Serve configuration, line by line."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = "|" if "\n" in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.represent_text)


def _lines(document: Document) -> list[str]:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=True).splitlines(keepends=True)


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
