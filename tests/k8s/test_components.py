"""The alternatives to what the production overlay takes by default."""

import shutil
from copy import deepcopy
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from serve_app.telemetry import tracing as exporter
from tests.k8s import references, security, sizes
from tests.k8s.manifests import ROOT, Object, environment, named, of_kind, render
from tests.k8s.mutations import Mutation, change, head, the, worker
from tests.k8s.schemas import violations

ROUTE = the("VirtualService", "sentiment")


def with_components(directory: Path, old: str, new: str) -> list[Object]:
    """Render the production overlay with a line of its components replaced."""
    shutil.copytree(ROOT / "kuberay", directory, dirs_exist_ok=True)
    kustomization = directory / "overlays" / "prod" / "kustomization.yaml"
    text = kustomization.read_text()
    assert old in text
    kustomization.write_text(text.replace(old, new))
    return render(kustomization.parent)


@pytest.fixture(scope="module")
def rendered_with_istio(tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    directory = tmp_path_factory.mktemp("istio")
    return with_components(directory, "components/gateway-api", "components/istio")


@pytest.fixture
def istio(rendered_with_istio: list[Object]) -> list[Object]:
    return deepcopy(rendered_with_istio)


def with_component(directory: Path, name: str) -> list[Object]:
    """Render the production overlay with one component more."""
    line = "  - ../../components/monitoring\n"
    return with_components(directory, line, f"{line}  - ../../components/{name}\n")


@pytest.fixture
def azure_monitor(tmp_path: Path) -> list[Object]:
    return with_component(tmp_path, "azure-monitor")


@pytest.fixture
def tracing(tmp_path: Path) -> list[Object]:
    return with_component(tmp_path, "tracing")


@pytest.mark.parametrize("component", ["rendered_with_istio", "azure_monitor", "tracing"])
def test_every_object_of_a_component_keeps_its_schema(
    component: str, request: pytest.FixtureRequest, crds: Path
) -> None:
    objects: list[Object] = request.getfixturevalue(component)
    # The CRD of Azure Monitor is the operator's of another group.
    known = [
        each | {"apiVersion": each["apiVersion"].replace("azmonitoring.", "monitoring.")}
        for each in objects
    ]
    assert [problem for each in known for problem in violations(each, crds)] == []


def test_istio_takes_the_place_of_the_gateway_api(istio: list[Object]) -> None:
    assert of_kind(istio, "HTTPRoute") == []
    assert named(istio, "VirtualService", "sentiment")["spec"]["hosts"] == ["sentiment.example.com"]
    for check in (references, sizes, security):
        assert list(check.violations(istio)) == []


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (change(ROUTE, "spec.http.0.match.1.uri.prefix", "/project"), "matches other paths"),
        (change(ROUTE, "spec.http.0.match.3.uri.prefix", "/labs/"), "instead of"),
        (change(ROUTE, "spec.http.0.match.3.uri.prefix", "/"), "instead of"),
        (change(ROUTE, "spec.http.0.route.0.destination.host", "other"), "leads to"),
        (change(ROUTE, "spec.http.0.route.0.destination.port.number", 8001), "leads to"),
        (change(ROUTE, "spec.http.0.timeout", "60s"), "the route gives up"),
        (change(ROUTE, "spec.http.0.retries.perTryTimeout", "5s"), "a try of the route gives up"),
    ],
)
def test_a_broken_route_of_istio_is_found(
    break_it: Mutation, message: str, istio: list[Object]
) -> None:
    break_it(istio)
    found = [*references.violations(istio), *sizes.violations(istio)]
    assert any(message in each for each in found), found


def test_azure_monitor_has_its_own_api_group_and_agents(azure_monitor: list[Object]) -> None:
    monitor = named(azure_monitor, "PodMonitor", "sentiment")
    assert monitor["apiVersion"] == "azmonitoring.coreos.com/v1"
    assert of_kind(azure_monitor, "PrometheusRule") == []
    for check in (references, sizes, security):
        assert list(check.violations(azure_monitor)) == []


def test_traces_are_sent_where_a_policy_lets_them_through(tracing: list[Object]) -> None:
    (rule,) = named(tracing, "NetworkPolicy", "traces")["spec"]["egress"]
    (space,) = rule["to"][0]["namespaceSelector"]["matchLabels"].values()
    for container in (head(tracing), worker(tracing)):
        values = {name: each.get("value", "") for name, each in environment(container).items()}
        assert values.items() >= exporter.variables(values).items() != set()
        endpoint = urlsplit(values["OTEL_EXPORTER_OTLP_ENDPOINT"])
        assert str(endpoint.hostname).endswith(f".{space}")
        assert [endpoint.port] == [port["port"] for port in rule["ports"]]
    for check in (references, sizes, security):
        assert list(check.violations(tracing)) == []
