"""What an API server tells of the kinds that it knows."""

from collections.abc import Iterator
from typing import Final

from tests.k8s.rollout.objects import Document

# By group and version: resource, kind, namespaced.
RESOURCES: Final = {
    "v1": [
        ("namespaces", "Namespace", False),
        ("serviceaccounts", "ServiceAccount", True),
        ("secrets", "Secret", True),
        ("pods", "Pod", True),
        ("events", "Event", True),
    ],
    "apps/v1": [("controllerrevisions", "ControllerRevision", True)],
    "external-secrets.io/v1": [
        ("externalsecrets", "ExternalSecret", True),
        ("secretstores", "SecretStore", True),
    ],
    "gateway.networking.k8s.io/v1": [("httproutes", "HTTPRoute", True)],
    "monitoring.coreos.com/v1": [
        ("podmonitors", "PodMonitor", True),
        ("prometheusrules", "PrometheusRule", True),
    ],
    "networking.k8s.io/v1": [("networkpolicies", "NetworkPolicy", True)],
    "policy/v1": [("poddisruptionbudgets", "PodDisruptionBudget", True)],
    "ray.io/v1": [("rayservices", "RayService", True)],
}
_VERBS: Final = ["get", "list", "patch", "delete"]


def groups() -> Iterator[Document]:
    """Yield the named groups, each with its one version."""
    for version in RESOURCES:
        if "/" in version:
            group, _, number = version.partition("/")
            entry = {"groupVersion": version, "version": number}
            yield {"name": group, "versions": [entry], "preferredVersion": entry}


def resource_list(version: str) -> Document:
    """Return the resources of a version."""
    resources = [
        {
            "name": name,
            "singularName": kind.lower(),
            "kind": kind,
            "namespaced": namespaced,
            "verbs": _VERBS,
        }
        for name, kind, namespaced in RESOURCES[version]
    ]
    return {"kind": "APIResourceList", "groupVersion": version, "resources": resources}
