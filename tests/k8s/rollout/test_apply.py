"""Rollouts against an API server over HTTP, behind which KubeRay's order of events takes place."""

from typing import Any

import pytest

from serve_app.errors import (
    ConnectionLost,
    InvalidManifest,
    PredictionFailed,
    RolloutFailed,
    RolloutRefused,
    RolloutTimeout,
    StartupError,
)
from serve_app.rollout.rollout import Rollout
from tests.k8s.rollout.api_server import ApiServer
from tests.k8s.rollout.conftest import QUICK
from tests.k8s.rollout.objects import Refusal
from tests.k8s.rollout.operator import BROKEN_IMPORT, MISSING_IMAGE, REFUSED_BY_SERVE
from tests.k8s.rollout.release import IMAGE, NAME, NAMESPACE, SECOND, release


def outcomes(rollout: Rollout) -> list[tuple[int, str]]:
    return [(revision.number, revision.outcome) for revision in rollout.revisions()]


def live(server: ApiServer) -> dict[str, Any]:
    return server.objects.stored["rayservices", NAMESPACE, NAME]


def active(server: ApiServer) -> str:
    return str(live(server)["status"]["activeServiceStatus"]["rayClusterName"])


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


def test_an_image_that_cannot_be_pulled_fails_with_the_words_of_kubernetes(
    server: ApiServer, rollout: Rollout
) -> None:
    rollout.apply(release(), QUICK)
    old = active(server)
    with pytest.raises(RolloutFailed) as failure:
        rollout.apply(release(SECOND, image=MISSING_IMAGE), QUICK)
    assert failure.value.problem == (
        "pod sentiment-2-head-abcde: ImagePullBackOff: Back-off pulling image "
        f'"{MISSING_IMAGE}@sha256:{SECOND}": not found'
    )
    conditions = {found["type"]: found["status"] for found in live(server)["status"]["conditions"]}
    assert conditions == {"Ready": "True", "UpgradeInProgress": "True"}
    assert active(server) == old
    assert outcomes(rollout) == [(1, "served"), (2, "failed")]


def test_an_application_that_fails_is_explained_by_its_error(rollout: Rollout) -> None:
    rollout.apply(release(), QUICK)
    with pytest.raises(RolloutFailed) as failure:
        rollout.apply(release(SECOND, import_path=BROKEN_IMPORT), QUICK)
    assert failure.value.problem == (
        "application sentiment is DEPLOY_FAILED: "
        "serve_app.errors.ModelUnusable: no model directory at /models/second"
    )
    assert failure.value.exit_status == 4


def test_a_failed_application_that_is_mended_in_place_is_not_taken_for_failed(
    rollout: Rollout,
) -> None:
    with pytest.raises(RolloutFailed):
        rollout.apply(release(import_path=BROKEN_IMPORT), QUICK)
    rollout.apply(release(), QUICK)
    assert outcomes(rollout)[-1] == (2, "served")


def test_a_configuration_that_serve_refuses_is_told_by_the_operators_warning(
    rollout: Rollout,
) -> None:
    rollout.apply(release(), QUICK)
    with pytest.raises(RolloutFailed) as failure:
        rollout.apply(release(import_path=REFUSED_BY_SERVE), QUICK)
    assert failure.value.problem == (
        "the operator cannot carry it out: "
        "fail to create / update Serve applications: 400 Bad Request"
    )


def test_a_specification_that_the_operator_refuses_fails_at_once(rollout: Rollout) -> None:
    rollout.apply(release(), QUICK)
    with pytest.raises(RolloutRefused) as refusal:
        rollout.apply(release(strategy="Sometimes"), QUICK)
    assert "Spec.UpgradeStrategy.Type value Sometimes is invalid" in refusal.value.problem
    assert refusal.value.exit_status == 3
    # The condition stays until the operator looks again: it is not about what is applied next.
    rollout.apply(release(), QUICK)
    assert outcomes(rollout)[-1] == (3, "served")


def test_what_the_api_server_finds_invalid_changes_nothing(
    server: ApiServer, rollout: Rollout
) -> None:
    rollout.apply(release(), QUICK)
    before, applied = live(server)["metadata"]["generation"], len(server.applied)
    wanted = release(SECOND)
    del wanted.service["spec"]["rayClusterConfig"]
    with pytest.raises(RolloutRefused) as refusal:
        rollout.apply(wanted, QUICK)
    assert refusal.value.problem == (
        'RayService sentiment: RayService.ray.io "sentiment" is invalid: '
        "spec.rayClusterConfig: Required value"
    )
    assert (live(server)["metadata"]["generation"], len(server.applied)) == (before, applied)


def test_a_webhook_that_refuses_is_quoted(server: ApiServer, rollout: Rollout) -> None:
    def deny(document: dict[str, Any]) -> None:
        if document["kind"] == "RayService":
            text = 'admission webhook "policy.example.com" denied the request: no probes'
            raise Refusal(403, "Forbidden", text)

    rollout.apply(release(), QUICK)
    server.objects.webhook = deny
    with pytest.raises(RolloutRefused) as refusal:
        rollout.apply(release(SECOND), QUICK)
    assert refusal.value.problem.endswith('"policy.example.com" denied the request: no probes')


def test_a_lost_connection_is_borne_for_a_while(
    server: ApiServer, rollout: Rollout, told: list[str]
) -> None:
    rollout.apply(release(), QUICK)

    def drop(line: str) -> None:
        told.append(line)
        if "sentiment DEPLOYING" in line:
            server.drops = 3

    Rollout(rollout._api, NAME, NAMESPACE, drop).apply(release(SECOND), QUICK)
    assert any("the API server does not answer" in line for line in told)
    assert told[-1] == "revision 2 serves"


def test_a_connection_lost_for_good_ends_with_what_to_do(
    server: ApiServer, rollout: Rollout
) -> None:
    rollout.apply(release(), QUICK)

    def stop(line: str) -> None:
        if "sentiment DEPLOYING" in line:
            server.stop()

    with pytest.raises(ConnectionLost) as lost:
        Rollout(rollout._api, NAME, NAMESPACE, stop).apply(release(SECOND), QUICK)
    assert "the rollout may still go on" in lost.value.problem
    assert lost.value.exit_status == 6


def test_an_upgrade_that_neither_ends_nor_fails_is_given_up(rollout: Rollout) -> None:
    rollout.apply(release(), QUICK)
    impatient = QUICK._replace(limits=QUICK.limits._replace(timeout_s=0.1, patience_s=60))
    with pytest.raises(RolloutTimeout) as late:
        rollout.apply(release(SECOND, image=MISSING_IMAGE), impatient)
    assert "new cluster sentiment-2" in late.value.problem
    assert outcomes(rollout) == [(1, "served"), (2, "applied")]


def test_a_service_that_does_not_predict_is_not_rolled_out(
    server: ApiServer, rollout: Rollout
) -> None:
    server.prediction = lambda: (503, {"title": "Model unavailable"})
    with pytest.raises(PredictionFailed) as failure:
        rollout.apply(release(), QUICK)
    assert "status 503" in failure.value.problem
    assert outcomes(rollout) == [(1, "silent")]


def test_a_field_of_another_tool_is_taken_over_only_when_told_to(
    server: ApiServer, rollout: Rollout
) -> None:
    rollout.apply(release(), QUICK)
    theirs = {"metadata": {"name": NAME, "namespace": NAMESPACE}, "kind": "RayService"}
    server.put(theirs | {"spec": {"suspend": True}}, "kubectl")
    wanted = release(SECOND)
    wanted.service["spec"]["suspend"] = False
    with pytest.raises(RolloutRefused) as refusal:
        rollout.apply(wanted, QUICK)
    assert 'conflict with "kubectl": .spec.suspend' in refusal.value.problem
    assert refusal.value.hint == "--force-conflicts takes these fields over"
    rollout.apply(wanted, QUICK._replace(force=True))
    assert live(server)["spec"]["suspend"] is False


def test_a_change_that_the_operator_would_ignore_is_no_success(rollout: Rollout) -> None:
    rollout.apply(release(strategy="None"), QUICK)
    with pytest.raises(RolloutFailed, match="the operator ignores it"):
        rollout.apply(release(SECOND, strategy="None"), QUICK)


def test_an_unknown_kind_is_named(rollout: Rollout) -> None:
    wanted = release()
    wanted.service["apiVersion"] = "ray.io/v9"
    rollout.apply(release(), QUICK)
    with pytest.raises(InvalidManifest, match="does not know RayService of"):
        rollout.apply(wanted, QUICK)


def test_a_prediction_can_take_the_way_of_clients(server: ApiServer, rollout: Rollout) -> None:
    through = f"/api/v1/namespaces/{NAMESPACE}/services/{NAME}-serve-svc:8000/proxy"
    rollout.apply(release(), QUICK._replace(url=server.url + through))
    assert outcomes(rollout) == [(1, "served")]


def test_what_is_no_url_is_refused_before_anything_is_applied(
    server: ApiServer, rollout: Rollout
) -> None:
    with pytest.raises(StartupError, match="is no URL"):
        rollout.apply(release(), QUICK._replace(url="app.example.com"))
    assert server.applied == []


def test_worker_bounds_change_in_place(rollout: Rollout, told: list[str]) -> None:
    rollout.apply(release(), QUICK)
    rollout.apply(release(workers=4), QUICK)
    assert any("changed in place" in line for line in told)
    assert IMAGE in str(rollout.revisions()[-1].service)
