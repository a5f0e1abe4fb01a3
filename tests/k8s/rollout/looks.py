"""What tests look up in the stub."""

from typing import Any

from serve_app.rollout.rollout import Rollout
from tests.k8s.rollout.api_server import ApiServer
from tests.k8s.rollout.release import NAME, NAMESPACE


def outcomes(rollout: Rollout) -> list[tuple[int, str]]:
    return [(revision.number, revision.outcome) for revision in rollout.revisions()]


def live(server: ApiServer) -> dict[str, Any]:
    return server.objects.stored["rayservices", NAMESPACE, NAME]


def active(server: ApiServer) -> str:
    return str(live(server)["status"]["activeServiceStatus"]["rayClusterName"])
