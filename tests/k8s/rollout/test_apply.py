"""Rollouts through an API server over HTTP, behind which events happen in KubeRay's order."""

from dataclasses import replace

import pytest

from serve_app.rollout.cluster import Api
from serve_app.rollout.rollout import Rollout
from tests.k8s.rollout.api_server import ApiServer
from tests.k8s.rollout.conftest import active, outcomes
from tests.k8s.rollout.release import NAME, NAMESPACE, SECOND, release


def test_a_first_release_is_applied_in_order_and_checked_with_a_prediction(
    server: ApiServer, api: Api, rollout: Rollout, progress: list[str]
) -> None:
    rollout.apply(release(lab_import_path="serve_app.lab:build"))
    assert server.applied[:3] == [
        "Namespace sentiment",
        "ServiceAccount sentiment-head",
        "RayService sentiment",
    ]
    assert "a first cluster is started" in progress[2]
    assert any("sentiment RUNNING; lab RUNNING, 2 endpoints" in line for line in progress)
    assert progress[-2:] == [
        "a prediction was answered by embedded, revision 0123456789ab",
        "revision 1 serves",
    ]
    assert outcomes(api) == [(1, "served")]


def test_an_upgrade_is_followed_until_the_new_cluster_has_endpoints(
    server: ApiServer, api: Api, rollout: Rollout, progress: list[str]
) -> None:
    rollout.apply(release())
    old = active(server)
    progress.clear()
    rollout.apply(release(SECOND))
    assert active(server) != old
    assert "a new cluster is started beside the old one" in "\n".join(progress)
    # Without the seconds in front.
    *_, starting, promoted, settling, serving, _, _ = (line[7:].strip() for line in progress)
    assert starting == (
        f"new cluster sentiment-2: sentiment DEPLOYING, Gateway UPDATING; {old} serves meanwhile"
    )
    assert promoted == "cluster sentiment-2: sentiment RUNNING, 0 endpoints"
    assert settling == f"{serving}; watching that it stays so"
    assert serving == "cluster sentiment-2 serves: sentiment RUNNING, 2 endpoints"
    assert outcomes(api) == [(1, "served"), (2, "served")]


def test_a_change_in_place_is_followed_until_serve_has_taken_it_over(
    server: ApiServer, rollout: Rollout, progress: list[str]
) -> None:
    rollout.apply(release())
    cluster, before = active(server), server.operator.deployed_at()
    progress.clear()
    rollout.apply(release(max_texts=128))
    assert "the running cluster is changed in place" in progress[2]
    assert active(server) == cluster
    assert server.operator.deployed_at() > before
    assert any("sentiment DEPLOYING" in line for line in progress)


def test_a_change_in_place_is_followed_without_access_to_the_head(
    api: Api, rollout: Rollout, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout.apply(release())
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    rollout.apply(release(max_texts=128))
    assert outcomes(api) == [(1, "served"), (2, "served")]


def test_an_unchanged_release_is_complete_at_once(
    api: Api, rollout: Rollout, progress: list[str]
) -> None:
    rollout.apply(release())
    rollout.apply(release())
    assert "nothing changes in the cluster" in "".join(progress)
    assert outcomes(api) == [(2, "served")]


@pytest.mark.parametrize("key", ["", "the-key-of-a-client"])
def test_a_prediction_by_url_carries_the_api_key(
    key: str, server: ApiServer, api: Api, rollout: Rollout
) -> None:
    server.api_key = key
    path = f"/api/v1/namespaces/{NAMESPACE}/services/{NAME}-serve-svc:8000/proxy"
    replace(rollout, url=server.url + path, api_key=key or None).apply(release())
    assert outcomes(api) == [(1, "served")]
