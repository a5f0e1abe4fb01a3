from ipaddress import ip_network

import pytest

from tests.k8s.conftest import Render
from tests.k8s.manifests import of_kind
from tests.k8s.mutations import (
    DELETE,
    Mutation,
    add,
    change,
    head,
    service,
    the,
    variable,
    worker,
    worker_pod,
)
from tests.k8s.security import violations, without_digest

CLUSTER = "rayClusterConfig"
CONTEXT = "securityContext"
POLICY = "spec.ingress.0"


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_the_lint_finds_nothing(overlay: str, rendered: Render) -> None:
    assert list(violations(rendered(overlay))) == []


def test_production_names_its_image_by_digest(rendered: Render) -> None:
    assert list(without_digest(rendered("prod"))) == []


def test_an_image_by_tag_is_found(rendered: Render) -> None:
    objects = rendered("prod")
    worker(objects)["image"] = "sentimentserve.azurecr.io/sentiment-serve:1.0"
    assert list(without_digest(objects)) == [
        "workers cpu: sentimentserve.azurecr.io/sentiment-serve:1.0 is not named by its digest"
    ]


def test_production_talks_to_named_networks_alone(rendered: Render) -> None:
    blocks = [
        peer["ipBlock"]["cidr"]
        for policy in of_kind(rendered("prod"), "NetworkPolicy")
        for rule in policy["spec"].get("egress", [])
        for peer in rule["to"]
        if "ipBlock" in peer
    ]
    assert blocks
    assert all(ip_network(block).is_private for block in blocks)
    assert all(ip_network(block).prefixlen >= 24 for block in blocks)


def opened(port: int) -> Mutation:
    return change(the("NetworkPolicy", "ingress-gateway"), f"{POLICY}.ports.0.port", port)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (change(service, f"{CLUSTER}.authOptions.mode", "disabled"), "commands from anybody"),
        (change(service, f"{CLUSTER}.autoscalerOptions.{CONTEXT}", {}), "autoscaler may gain"),
        (change(worker_pod, f"{CONTEXT}.runAsUser", 0), "run as root"),
        (change(worker_pod, f"{CONTEXT}.runAsNonRoot", False), "run as root"),
        (change(worker_pod, f"{CONTEXT}.seccompProfile.type", "Unconfined"), "seccomp"),
        (change(worker_pod, "hostNetwork", True), "hostNetwork"),
        (change(worker_pod, "hostPID", True), "hostPID"),
        (change(worker_pod, "volumes.0", {"name": "tmp", "hostPath": {}}), "path of the node"),
        (change(worker_pod, "automountServiceAccountToken", DELETE), "Kubernetes API"),
        (change(worker, f"{CONTEXT}.privileged", True), "privileged"),
        (change(worker, f"{CONTEXT}.runAsUser", 0), "run as root"),
        (change(worker, f"{CONTEXT}.allowPrivilegeEscalation", True), "gain privileges"),
        (change(worker, f"{CONTEXT}.readOnlyRootFilesystem", False), "its own files"),
        (change(worker, f"{CONTEXT}.capabilities.add", ["NET_ADMIN"]), "capabilities"),
        (change(worker, f"{CONTEXT}.capabilities.drop", []), "capabilities"),
        (change(worker, "ports.0.hostPort", 80), "port of the node"),
        (change(worker, "image", "a.io:5000/b:latest"), "can change"),
        (change(worker, "image", "a.io:5000/b"), "can change"),
        (change(head, "resources.limits", DELETE), "no limits"),
        (change(head, "resources.requests.memory", "4Gi"), "below its limit"),
        (
            add("Role", rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]}]),
            "wildcard",
        ),
        (add("ClusterRoleBinding", roleRef={"name": "cluster-admin"}), "too much"),
        (add("Service", spec={"type": "LoadBalancer", "selector": {}}), "from outside"),
        (change(service, "serveService.spec.type", "LoadBalancer"), "from outside"),
        (change(service, f"{CLUSTER}.headGroupSpec.serviceType", "NodePort"), "from outside"),
        (change(service, f"{CLUSTER}.headGroupSpec.enableIngress", True), "dashboard"),
        (change(service, f"{CLUSTER}.headGroupSpec.ingressOptions", {}), "dashboard"),
        (
            change(the("HTTPRoute", "sentiment"), "spec.rules.0.backendRefs.0.port", 8265),
            "dashboard",
        ),
        (
            change(the("NetworkPolicy", "default-deny"), "spec.policyTypes", ["Ingress"]),
            "no policy",
        ),
        (
            change(the("NetworkPolicy", "ingress-gateway"), f"{POLICY}.from", DELETE),
            "allows everybody",
        ),
        (
            change(the("NetworkPolicy", "ingress-gateway"), f"{POLICY}.ports", DELETE),
            "every port",
        ),
        (opened(8265), "Ray's own"),
        (opened(8404), "HAProxy's statistics"),
        (change(the("Namespace", "sentiment"), "metadata.labels", {}), "not restricted"),
        (variable(head, "REDIS_PASSWORD", "hunter2"), "$REDIS_PASSWORD stands"),
        (variable(head, "RAY_AUTH_TOKEN", "hunter2"), "$RAY_AUTH_TOKEN stands"),
        (add("Secret", data={}), "a Secret stands"),
        (variable(head, "SENTIMENT_CACHE_URL", "rediss://:hunter2@host:10000/0"), "a URL"),
    ],
)
def test_the_lint_finds(break_it: Mutation, message: str, rendered: Render) -> None:
    objects = rendered("prod")
    break_it(objects)
    found = list(violations(objects))
    assert any(message in each for each in found), found
