"""The production overlay with the components that it does not take by default."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from serve_app.telemetry import tracing as exporter
from tests.k8s import references, security, sizes
from tests.k8s.manifests import (
    ROOT,
    Object,
    environment,
    head_container,
    named,
    of_kind,
    render,
    worker_container,
)
from tests.k8s.schemas import violations

MONITORING = "  - ../../components/monitoring\n"
# Each component, by the line of the overlay that it replaces and the one in its place.
COMPONENTS = {
    "istio": ("components/gateway-api", "components/istio"),
    "azure-monitor": (MONITORING, f"{MONITORING}  - ../../components/azure-monitor\n"),
    "tracing": (MONITORING, f"{MONITORING}  - ../../components/tracing\n"),
}

RenderWith = Callable[[str], list[Object]]


@pytest.fixture(scope="module")
def rendered_with(tmp_path_factory: pytest.TempPathFactory) -> RenderWith:
    @cache
    def render_with(component: str) -> list[Object]:
        directory = tmp_path_factory.mktemp("kuberay")
        shutil.copytree(ROOT / "kuberay", directory, dirs_exist_ok=True)
        kustomization = directory / "overlays" / "prod" / "kustomization.yaml"
        text = kustomization.read_text()
        old, new = COMPONENTS[component]
        assert old in text
        kustomization.write_text(text.replace(old, new))
        return render(kustomization.parent)

    return render_with


@pytest.mark.parametrize("component", COMPONENTS)
def test_objects_of_a_component_keep_their_schemas(
    component: str, rendered_with: RenderWith, crds: Path
) -> None:
    # Azure Monitor has the CRD of the Prometheus operator in another group.
    known = [
        each | {"apiVersion": each["apiVersion"].replace("azmonitoring.", "monitoring.")}
        for each in rendered_with(component)
    ]
    assert [problem for each in known for problem in violations(each, crds)] == []


@pytest.mark.parametrize("check", [references, sizes, security])
@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_passes_the_checks_of_the_overlays(
    component: str, check: Any, rendered_with: RenderWith
) -> None:
    assert list(check.violations(rendered_with(component))) == []


def test_istio_replaces_the_gateway_api(rendered_with: RenderWith) -> None:
    objects = rendered_with("istio")
    assert of_kind(objects, "HTTPRoute") == []
    route = named(objects, "VirtualService", "sentiment")
    assert route["spec"]["hosts"] == ["sentiment.example.com"]


def test_azure_monitor_has_its_own_api_group_and_rules(rendered_with: RenderWith) -> None:
    objects = rendered_with("azure-monitor")
    monitor = named(objects, "PodMonitor", "sentiment")
    assert monitor["apiVersion"] == "azmonitoring.coreos.com/v1"
    assert of_kind(objects, "PrometheusRule") == []


def test_a_policy_lets_traces_through_to_the_collector(rendered_with: RenderWith) -> None:
    objects = rendered_with("tracing")
    (rule,) = named(objects, "NetworkPolicy", "traces")["spec"]["egress"]
    (space,) = rule["to"][0]["namespaceSelector"]["matchLabels"].values()
    for container in (head_container(objects), worker_container(objects)):
        values = {name: each.get("value", "") for name, each in environment(container).items()}
        assert values.items() >= exporter.variables(values).items() != set()
        endpoint = urlsplit(values["OTEL_EXPORTER_OTLP_ENDPOINT"])
        assert str(endpoint.hostname).endswith(f".{space}")
        assert [endpoint.port] == [port["port"] for port in rule["ports"]]
