import os
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest

from tests.k8s.manifests import OVERLAYS, Object, render

Render = Callable[[str], list[Object]]


@pytest.fixture(scope="session")
def rendered() -> Render:
    """Render an overlay; each caller gets objects of its own."""
    once = cache(lambda overlay: render(OVERLAYS / overlay))
    return lambda overlay: deepcopy(once(overlay))


@pytest.fixture(scope="session")
def crds() -> Path:
    """The directory of the CRDs of KubeRay, the Gateway API and the Prometheus operator."""
    shared = Path(os.environ.get("SENTIMENT_SHARED", Path(__file__).parents[3] / "shared"))
    if not (shared / "crds").is_dir():
        pytest.skip("needs the CRDs; point SENTIMENT_SHARED at the folder that holds them")
    return shared / "crds"
