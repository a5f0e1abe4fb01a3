from pathlib import Path

import pytest
import yaml

from tests.k8s.conftest import Render
from tests.k8s.manifests import ROOT
from tests.k8s.schemas import violations


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_every_object_has_a_schema_and_keeps_it(overlay: str, rendered: Render, crds: Path) -> None:
    found = [problem for each in rendered(overlay) for problem in violations(each, crds)]
    assert found == []


def test_gateway_keeps_its_schema(crds: Path) -> None:
    content = (ROOT / "kuberay" / "platform" / "gateway.yaml").read_text()
    assert [each for one in yaml.safe_load_all(content) for each in violations(one, crds)] == []
