import pytest

from tests.k8s.conftest import Render
from tests.k8s.manifests import ROOT, deployments, replicas, worker_groups
from tests.k8s.sizes import logical_cpus, violations


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_numbers_fit(overlay: str, rendered: Render) -> None:
    assert list(violations(rendered(overlay))) == []


def test_two_pods_serve_even_without_load(rendered: Render) -> None:
    for name in ("Gateway", "Classifier"):
        (each,) = [each for each in deployments(rendered("prod")) if each["name"] == name]
        assert replicas(each)[0] > each["max_replicas_per_node"]


def test_the_readme_has_the_sizes_of_production(rendered: Render) -> None:
    objects = rendered("prod")
    (workers,) = worker_groups(objects)
    bounds = {each["name"]: replicas(each) for each in deployments(objects)}
    min_gateways, max_gateways = bounds["Gateway"]
    min_classifiers, max_classifiers = bounds["Classifier"]
    pods, cpus = workers["maxReplicas"], int(logical_cpus(workers))
    readme = (ROOT / "kuberay" / "README.md").read_text()
    for fact in (
        f"{max_gateways} gateways, {max_classifiers} classifiers",
        f"{pods} of {cpus} CPUs are {pods * cpus}",
        f"`minReplicas` | {workers['minReplicas']} |",
        f"| {min_gateways} and {min_classifiers} |",
    ):
        assert fact in readme
