import pytest

from kuberay.generate import CONFIG
from serve_app.ray_serve.config import read
from tests.k8s.conftest import Render
from tests.k8s.manifests import environment, head_container, worker_container
from tests.k8s.references import violations


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_references_resolve(overlay: str, rendered: Render) -> None:
    assert list(violations(rendered(overlay))) == []


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_head_and_workers_have_the_environment_of_the_configuration(
    overlay: str, rendered: Render
) -> None:
    objects = rendered(overlay)
    for container in (head_container(objects), worker_container(objects)):
        values = {name: each.get("value") for name, each in environment(container).items()}
        assert values.items() >= read(CONFIG)["environment"].items()
        assert len(values) == len(container["env"])
