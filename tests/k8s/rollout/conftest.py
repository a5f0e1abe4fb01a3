from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from serve_app.rollout.cluster import Api, connect
from serve_app.rollout.history import revisions_of
from serve_app.rollout.monitor import Limits
from serve_app.rollout.rollout import Rollout
from tests.k8s.rollout.api_server import RAY_TOKEN, ApiServer
from tests.k8s.rollout.release import NAME, NAMESPACE

# The operator's passes are counted, not timed, so that nothing has to be waited for.
QUICK: Final = Limits(
    timeout_s=20, settle_s=0.1, patience_s=0.3, lost_s=0.3, predict_s=0, poll_s=0.01
)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    with ApiServer() as started:
        monkeypatch.setenv("KUBECONFIG", str(started.kubeconfig(tmp_path / "kubeconfig")))
        monkeypatch.setenv("RAY_AUTH_TOKEN", RAY_TOKEN)
        yield started


@pytest.fixture
def api(server: ApiServer) -> Api:
    return connect(NAME, NAMESPACE)


@pytest.fixture
def progress() -> list[str]:
    """The lines that the rollout reports."""
    return []


@pytest.fixture
def rollout(api: Api, progress: list[str]) -> Rollout:
    return Rollout(api, progress.append, limits=QUICK)


def outcomes(api: Api) -> list[tuple[int, str]]:
    return [(revision.number, revision.outcome) for revision in revisions_of(api)]


def live(server: ApiServer) -> dict[str, Any]:
    return server.objects.stored["rayservices", NAMESPACE, NAME]


def active(server: ApiServer) -> str:
    return str(live(server)["status"]["activeServiceStatus"]["rayClusterName"])


def image(server: ApiServer) -> str:
    head = live(server)["spec"]["rayClusterConfig"]["headGroupSpec"]
    return str(head["template"]["spec"]["containers"][0]["image"])
