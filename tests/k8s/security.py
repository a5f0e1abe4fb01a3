"""A lint for security: what the manifests must not allow."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from tests.k8s.manifests import Object, containers, environment, of_kind, pod_templates, ray_service

SECRET_NAME: Final = re.compile(r"TOKEN|PASSWORD|SECRET|_KEY$", re.IGNORECASE)
URL_WITH_PASSWORD: Final = re.compile(r"://[^/\s@]*:[^/\s@]+@")
# Whoever reaches these can run code, or read who uses the service.
PRIVATE_PORTS: Final = {6379, 8265, 10001, 52365}
HAPROXY_STATISTICS: Final = 8404


def violations(objects: Iterable[Object]) -> Iterator[str]:
    """Yield each statement that makes the service less safe than it could be."""
    objects = list(objects)
    cluster = ray_service(objects)["spec"]["rayClusterConfig"]
    if cluster.get("authOptions", {}).get("mode") != "token":
        yield "Ray would take commands from anybody"
    yield from _container("autoscaler", {"image": "a:1", **cluster["autoscalerOptions"]})
    for place, template in pod_templates(objects):
        yield from _pod(place, template["spec"])
        for container in containers(template):
            yield from _container(f"{place}, {container['name']}", container)
    yield from _permissions(objects)
    yield from _exposure(objects)
    yield from _isolation(objects)
    yield from _secrets(objects)


def _pod(place: str, spec: Object) -> Iterator[str]:
    context = spec.get("securityContext", {})
    if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
        yield f"{place} may run as root"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield f"{place} has no seccomp profile"
    for field in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"):
        if spec.get(field):
            yield f"{place} has {field}"
    for volume in spec.get("volumes", []):
        if "hostPath" in volume:
            yield f"{place} mounts a path of the node"
    if place != "head" and spec.get("automountServiceAccountToken") is not False:
        yield f"{place} carries a token of the Kubernetes API"


def _container(place: str, container: Object) -> Iterator[str]:
    context = container.get("securityContext", {})
    if context.get("privileged"):
        yield f"{place} is privileged"
    if context.get("runAsNonRoot") is False or context.get("runAsUser") == 0:
        yield f"{place} may run as root"
    if context.get("allowPrivilegeEscalation") is not False:
        yield f"{place} may gain privileges"
    if context.get("readOnlyRootFilesystem") is not True:
        yield f"{place} may change its own files"
    if context.get("capabilities", {}).get("drop") != ["ALL"] or "add" in context["capabilities"]:
        yield f"{place} has capabilities"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield f"{place} takes a port of the node"
    _, _, tag = container["image"].rpartition("/")[2].partition(":")
    if tag in {"", "latest"}:
        yield f"{place}: what {container['image']} stands for can change"
    resources = container.get("resources", {})
    requests, limits = resources.get("requests", {}), resources.get("limits", {})
    if (
        "cpu" not in limits
        or not limits.get("memory")
        or requests.get("memory") != limits["memory"]
    ):
        yield f"{place} has no limits, or a request of memory below its limit"


def _permissions(objects: list[Object]) -> Iterator[str]:
    for role in of_kind(objects, "Role", "ClusterRole"):
        for rule in role["rules"]:
            if "*" in [*rule.get("verbs", []), *rule["resources"], *rule["apiGroups"]]:
                yield f"{role['kind']} {role['metadata']['name']} has a wildcard"
    for binding in of_kind(objects, "RoleBinding", "ClusterRoleBinding"):
        if binding["roleRef"]["name"] in {"cluster-admin", "admin", "edit"}:
            yield f"{binding['kind']} {binding['metadata']['name']} gives too much"


def _exposure(objects: list[Object]) -> Iterator[str]:
    for service in of_kind(objects, "Service"):
        if service["spec"].get("type", "ClusterIP") != "ClusterIP":
            yield f"Service {service['metadata']['name']} is reachable from outside"
    spec = ray_service(objects)["spec"]
    if spec.get("serveService", {}).get("spec", {}).get("type", "ClusterIP") != "ClusterIP":
        yield "the Service of Serve is reachable from outside"
    head = spec["rayClusterConfig"]["headGroupSpec"]
    if head.get("serviceType", "ClusterIP") != "ClusterIP":
        yield "the head is reachable from outside"
    if head.get("enableIngress") or "ingressOptions" in head or of_kind(objects, "Ingress"):
        yield "the dashboard is routed"
    for route in of_kind(objects, "HTTPRoute", "VirtualService"):
        text = str(route["spec"])
        if "-head-svc" in text or any(str(port) in text for port in PRIVATE_PORTS):
            yield "the dashboard is routed"


def _isolation(objects: list[Object]) -> Iterator[str]:
    policies = of_kind(objects, "NetworkPolicy")
    closed = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    if closed not in [each["spec"] for each in policies]:
        yield "what no policy names is allowed"
    for policy in policies:
        name = policy["metadata"]["name"]
        for rule in [*policy["spec"].get("ingress", []), *policy["spec"].get("egress", [])]:
            peers = rule.get("from", []) + rule.get("to", [])
            within = all(set(peer) == {"podSelector"} for peer in peers)
            ports = {port.get("port") for port in rule.get("ports", [])}
            if not peers or not (ports or within):
                yield f"NetworkPolicy {name} allows everybody or every port"
            if ports & PRIVATE_PORTS and not within and name != "kuberay-operator":
                yield f"NetworkPolicy {name} opens a port of Ray's own"
            if HAPROXY_STATISTICS in ports:
                yield f"NetworkPolicy {name} opens HAProxy's statistics"
    for space in of_kind(objects, "Namespace"):
        level = space["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce")
        if level != "restricted":
            yield f"Namespace {space['metadata']['name']} is not restricted"


def _secrets(objects: list[Object]) -> Iterator[str]:
    for place, template in pod_templates(objects):
        for container in containers(template):
            for name, variable in environment(container).items():
                if SECRET_NAME.search(name) and variable.get("value"):
                    yield f"{place}: ${name} stands in the manifest"
    if of_kind(objects, "Secret"):
        yield "a Secret stands in the manifest"
    for text in _texts(objects):
        if URL_WITH_PASSWORD.search(text):
            yield "a URL with its password stands in the manifest"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for each in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    ):
        yield from _texts(each)
