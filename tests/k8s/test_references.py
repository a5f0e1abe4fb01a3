import pytest

from kuberay.generate import CONFIG
from serve_app.ray_serve.config import read
from tests.k8s.conftest import Render
from tests.k8s.manifests import environment
from tests.k8s.mutations import (
    DELETE,
    Mutation,
    change,
    head,
    in_serve_config,
    service,
    the,
    without_variable,
    worker,
    worker_pod,
)
from tests.k8s.references import violations

ROUTE = the("HTTPRoute", "sentiment")
MONITOR = the("PodMonitor", "sentiment")


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_every_reference_leads_somewhere(overlay: str, rendered: Render) -> None:
    assert list(violations(rendered(overlay))) == []


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_head_and_workers_have_the_environment_of_the_configuration(
    overlay: str, rendered: Render
) -> None:
    objects = rendered(overlay)
    for container in (head(objects), worker(objects)):
        values = {name: each.get("value") for name, each in environment(container).items()}
        assert values.items() >= read(CONFIG)["environment"].items()
        assert len(values) == len(container["env"])


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (change(the("PodMonitor", "sentiment"), "metadata.namespace", "other"), "not made"),
        (change(ROUTE, "spec.rules.0.matches.1.path.value", "/labs"), "instead of"),
        (change(ROUTE, "spec.rules.0.backendRefs.0.name", "sentiment-head-svc"), "leads to"),
        (change(ROUTE, "spec.rules.0.backendRefs.0.port", 8265), "leads to"),
        (change(head, "ports.3.containerPort", 8001), "does not listen"),
        (in_serve_config("port: 8000", "port: 8001"), "does not listen"),
        (in_serve_config("0.0.0.0", "127.0.0.1"), "no probe"),
        (in_serve_config("route_prefix: /\n", "route_prefix: /other\n"), "application at /other"),
        (in_serve_config("EveryNode", "HeadOnly"), "every node"),
        (change(worker, "ports.0.containerPort", 8001), "is not the head's"),
        (change(worker, "readinessProbe", DELETE), "readiness"),
        (change(worker, "readinessProbe.httpGet.path", "/project/ready"), "readiness"),
        (change(worker, "readinessProbe.httpGet.port", "metrics"), "readiness"),
        (change(worker, "readinessProbe.failureThreshold", 1), "lose its readiness"),
        (change(worker, "readinessProbe.timeoutSeconds", 2), "lose its readiness"),
        (
            change(
                the("PodDisruptionBudget", "sentiment-ray-worker"),
                "spec.selector.matchLabels",
                {"app.kubernetes.io/component": "worker"},
            ),
            "selects no pod",
        ),
        (change(MONITOR, "spec.selector.matchLabels", {"app": "x"}), "selects no pod"),
        (
            change(
                the("NetworkPolicy", "ray"),
                "spec.ingress.0.from.0.podSelector.matchExpressions.0.values",
                ["ray"],
            ),
            "a peer, selects no pod",
        ),
        (
            change(worker_pod, "topologySpreadConstraints.0.labelSelector.matchLabels.x", "y"),
            "spread by labels",
        ),
        (
            change(the("NetworkPolicy", "ingress-gateway"), "spec.ingress.0.ports.0.port", 8001),
            "allows 8001",
        ),
        (change(MONITOR, "spec.podMetricsEndpoints.0.port", "metric"), "are called metric"),
        (
            change(the("NetworkPolicy", "monitoring"), "spec.ingress.0.ports.1.port", 8080),
            "reach haproxy",
        ),
        (change(the("ExternalSecret", "ray-redis"), "spec.target.name", "redis"), "ray-redis"),
        (
            change(the("ExternalSecret", "sentiment-cache"), "spec.data.0.secretKey", "uri"),
            "sentiment-cache",
        ),
        (change(service, "rayClusterConfig.authOptions.secretName", "token"), "secret token"),
        (
            change(the("ExternalSecret", "ray-redis"), "spec.secretStoreRef.name", "vault"),
            "in no store",
        ),
        (
            change(
                the("SecretStore", "key-vault"),
                "spec.provider.azurekv.serviceAccountRef.name",
                "default",
            ),
            "service account",
        ),
        (
            change(the("SecretStore", "key-vault"), "spec.provider.azurekv.tenantId", DELETE),
            "names no tenant",
        ),
        (change(worker_pod, "serviceAccountName", "ray"), "service account ray"),
        (change(worker, "volumeMounts.0.name", "temp"), "no volume temp"),
        (
            change(service, "rayClusterConfig.autoscalerOptions.volumeMounts.0.name", "temp"),
            "no volume temp",
        ),
        (without_variable(head, "SENTIMENT_CACHE_URL"), "head: the configuration reads"),
        (without_variable(worker, "SENTIMENT_CACHE_URL"), "workers cpu: the configuration"),
    ],
)
def test_a_broken_reference_is_found(break_it: Mutation, message: str, rendered: Render) -> None:
    objects = rendered("prod")
    break_it(objects)
    found = list(violations(objects))
    assert any(message in each for each in found), found
