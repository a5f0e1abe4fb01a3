from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.rollout.cluster import Api, connect
from serve_app.rollout.monitor import Limits
from serve_app.rollout.rollout import Options, Rollout
from tests.k8s.rollout.api_server import RAY_TOKEN, ApiServer
from tests.k8s.rollout.release import NAME, NAMESPACE

# The operator's passes are counted, not timed, so nothing has to be waited for.
QUICK = Options(
    Limits(timeout_s=20, settle_s=0.1, patience_s=0.3, lost_s=0.3, predict_s=0, poll_s=0.01)
)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    with ApiServer() as started:
        monkeypatch.setenv("KUBECONFIG", str(started.kubeconfig(tmp_path / "kubeconfig")))
        monkeypatch.setenv("RAY_AUTH_TOKEN", RAY_TOKEN)
        yield started


@pytest.fixture
def api(server: ApiServer) -> Api:
    return connect(None)


@pytest.fixture
def told() -> list[str]:
    """What the rollout reports."""
    return []


@pytest.fixture
def rollout(api: Api, told: list[str]) -> Rollout:
    return Rollout(api, NAME, NAMESPACE, told.append)
