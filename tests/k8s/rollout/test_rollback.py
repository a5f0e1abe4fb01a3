from dataclasses import replace

import pytest

from serve_app.errors import InvalidManifest, RolloutFailed, RolloutTimeout
from serve_app.rollout.cluster import Api
from serve_app.rollout.history import revisions_of
from serve_app.rollout.rollout import Rollout
from tests.k8s.rollout.api_server import ApiServer
from tests.k8s.rollout.conftest import QUICK, image, outcomes
from tests.k8s.rollout.operator import MISSING_IMAGE
from tests.k8s.rollout.release import FIRST, IMAGE, SECOND, release

THIRD = "3" * 64


def test_a_rollback_returns_to_the_revision_that_served_before(
    server: ApiServer, api: Api, rollout: Rollout
) -> None:
    rollout.apply(release(FIRST))
    rollout.apply(release(SECOND))
    rollout.rollback(None)
    assert image(server) == f"{IMAGE}@sha256:{FIRST}"
    assert outcomes(api) == [(2, "served"), (3, "served")]


def test_a_rollback_during_a_hanging_upgrade_gives_the_pending_cluster_up(
    server: ApiServer, rollout: Rollout, progress: list[str]
) -> None:
    rollout.apply(release(FIRST))
    with pytest.raises(RolloutFailed):
        rollout.apply(release(SECOND, image=MISSING_IMAGE))
    progress.clear()
    rollout.rollback(None)
    assert progress[1] == (
        "cluster sentiment-2 has not taken over yet and is given up; "
        "sentiment-1 serves until a new one of that revision does"
    )
    assert image(server) == f"{IMAGE}@sha256:{FIRST}"
    # KubeRay compares with the pending cluster, so that the old revision gets a third one.
    assert any("cluster sentiment-3 serves" in line for line in progress)


def test_a_rollback_can_name_a_revision(server: ApiServer, rollout: Rollout) -> None:
    for digest in (FIRST, SECOND, THIRD):
        rollout.apply(release(digest))
    rollout.rollback(1)
    assert image(server) == f"{IMAGE}@sha256:{FIRST}"
    with pytest.raises(InvalidManifest, match="there is no revision 7"):
        rollout.rollback(7)


def test_a_rollback_can_return_to_a_release_of_another_tool(
    server: ApiServer, api: Api, rollout: Rollout
) -> None:
    for document in release(FIRST).documents:
        server.put(document, "kubectl")
    while not server.operator.service_points_to:
        api.service()
    api.service()
    replace(rollout, force=True).apply(release(SECOND))
    rollout.rollback(None)
    assert image(server) == f"{IMAGE}@sha256:{FIRST}"


def test_a_rollback_can_return_to_a_release_that_served_after_the_timeout(
    server: ApiServer, api: Api, rollout: Rollout
) -> None:
    rollout.apply(release(FIRST))
    with pytest.raises(RolloutTimeout):
        replace(rollout, limits=QUICK._replace(timeout_s=0)).apply(release(SECOND))
    for _ in range(9):
        api.service()
    with pytest.raises(RolloutFailed):
        rollout.apply(release(THIRD, image=MISSING_IMAGE))
    rollout.rollback(None)
    assert image(server) == f"{IMAGE}@sha256:{SECOND}"


def test_only_the_last_revisions_are_kept(rollout: Rollout) -> None:
    for max_texts in range(101, 114):
        rollout.apply(release(max_texts=max_texts))
    assert [one.number for one in revisions_of(rollout.api)] == list(range(4, 14))
