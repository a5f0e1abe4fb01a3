"""Rollouts against an API server over HTTP, behind which KubeRay's order of events takes place."""

import pytest

from serve_app.rollout.rollout import Rollout
from tests.k8s.rollout.api_server import ApiServer
from tests.k8s.rollout.conftest import QUICK
from tests.k8s.rollout.looks import active, outcomes
from tests.k8s.rollout.release import IMAGE, NAME, NAMESPACE, SECOND, release


def test_a_first_release_is_applied_in_order_and_proved_by_a_prediction(
    server: ApiServer, rollout: Rollout, told: list[str]
) -> None:
    rollout.apply(release(), QUICK)
    assert server.applied[:3] == [
        "Namespace sentiment",
        "ServiceAccount sentiment-head",
        "RayService sentiment",
    ]
    assert "a first cluster is started" in told[2]
    assert told[-2:] == [
        "a prediction was answered by embedded, revision 0123456789ab",
        "revision 1 serves",
    ]
    assert outcomes(rollout) == [(1, "served")]


def test_an_upgrade_is_followed_until_the_new_cluster_has_taken_over(
    server: ApiServer, rollout: Rollout, told: list[str]
) -> None:
    rollout.apply(release(), QUICK)
    old = active(server)
    told.clear()
    rollout.apply(release(SECOND), QUICK)
    assert active(server) != old
    progress = "\n".join(told)
    assert "a new cluster is started beside the old one" in progress
    assert (
        f"new cluster sentiment-2: sentiment DEPLOYING, Gateway UPDATING; {old} serves" in progress
    )
    assert "cluster sentiment-2 serves: sentiment RUNNING, 2 endpoints" in progress
    assert outcomes(rollout) == [(1, "served"), (2, "served")]


def test_no_success_is_reported_before_the_new_cluster_has_endpoints(
    server: ApiServer, rollout: Rollout, told: list[str]
) -> None:
    rollout.apply(release(), QUICK)
    rollout.apply(release(SECOND), QUICK)
    promoted = next(line for line in told if "cluster sentiment-2: sentiment RUNNING" in line)
    assert promoted.endswith("0 endpoints")


def test_a_change_in_place_waits_for_the_statuses_after_it(
    server: ApiServer, rollout: Rollout, told: list[str]
) -> None:
    rollout.apply(release(), QUICK)
    cluster, before = active(server), server.operator.deployed_at()
    told.clear()
    rollout.apply(release(max_texts=128), QUICK)
    assert "the running cluster is changed in place" in told[2]
    assert active(server) == cluster
    assert server.operator.deployed_at() > before
    assert any("sentiment DEPLOYING" in line for line in told)


def test_a_change_in_place_is_followed_without_access_to_the_head(
    rollout: Rollout, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout.apply(release(), QUICK)
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    rollout.apply(release(max_texts=128), QUICK)
    assert outcomes(rollout) == [(1, "served"), (2, "served")]


def test_what_changes_nothing_is_done_at_once(
    server: ApiServer, rollout: Rollout, told: list[str]
) -> None:
    rollout.apply(release(), QUICK)
    rollout.apply(release(), QUICK)
    assert "nothing changes in the cluster" in "".join(told)
    assert outcomes(rollout) == [(2, "served")]


def test_a_prediction_by_url_carries_the_api_key(server: ApiServer, rollout: Rollout) -> None:
    server.api_key = "the-key-of-a-client"
    through = f"/api/v1/namespaces/{NAMESPACE}/services/{NAME}-serve-svc:8000/proxy"
    rollout.apply(release(), QUICK._replace(url=server.url + through, api_key=server.api_key))
    assert outcomes(rollout) == [(1, "served")]


def test_every_application_is_waited_for(rollout: Rollout, told: list[str]) -> None:
    rollout.apply(release(lab_import_path="serve_app.lab:build"), QUICK)
    assert any("sentiment RUNNING; lab RUNNING, 2 endpoints" in line for line in told)


def test_a_prediction_can_take_the_way_of_clients(server: ApiServer, rollout: Rollout) -> None:
    through = f"/api/v1/namespaces/{NAMESPACE}/services/{NAME}-serve-svc:8000/proxy"
    rollout.apply(release(), QUICK._replace(url=server.url + through))
    assert outcomes(rollout) == [(1, "served")]


def test_worker_bounds_change_in_place(rollout: Rollout, told: list[str]) -> None:
    rollout.apply(release(), QUICK)
    rollout.apply(release(workers=4), QUICK)
    assert any("changed in place" in line for line in told)
    assert IMAGE in str(rollout.revisions()[-1].service)
