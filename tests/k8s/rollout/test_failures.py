"""Rollouts that begin and come to no good end: how that is told."""

from typing import Any

import pytest

from serve_app.errors import ConnectionLost, PredictionFailed, RolloutFailed, RolloutTimeout
from serve_app.rollout.rollout import Rollout
from tests.k8s.rollout.api_server import ApiServer
from tests.k8s.rollout.conftest import QUICK
from tests.k8s.rollout.looks import active, live, outcomes
from tests.k8s.rollout.objects import Refusal
from tests.k8s.rollout.operator import BROKEN_IMPORT, MISSING_IMAGE, REFUSED_BY_SERVE
from tests.k8s.rollout.release import NAME, NAMESPACE, SECOND, release


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


def test_a_second_application_that_fails_is_named(rollout: Rollout) -> None:
    rollout.apply(release(), QUICK)
    with pytest.raises(RolloutFailed, match="application lab is DEPLOY_FAILED"):
        rollout.apply(release(lab_import_path=BROKEN_IMPORT), QUICK)


def test_a_service_that_wants_a_key_says_how_to_give_one(
    server: ApiServer, rollout: Rollout
) -> None:
    server.api_key = "the-key-of-a-client"
    with pytest.raises(PredictionFailed) as failure:
        rollout.apply(release(), QUICK)
    assert "$SENTIMENT_API_KEY" in failure.value.hint


def test_a_service_that_the_api_server_cannot_reach_is_to_be_asked_as_clients_do(
    server: ApiServer, rollout: Rollout
) -> None:
    def unreachable() -> tuple[int, Any]:
        raise Refusal(503, "ServiceUnavailable", "error trying to reach service: i/o timeout")

    server.prediction = unreachable
    with pytest.raises(PredictionFailed) as failure:
        rollout.apply(release(), QUICK)
    assert "i/o timeout" in failure.value.problem
    assert "--url" in failure.value.hint


def test_a_service_that_does_not_predict_is_not_rolled_out(
    server: ApiServer, rollout: Rollout
) -> None:
    server.prediction = lambda: (503, {"title": "Model unavailable"})
    with pytest.raises(PredictionFailed) as failure:
        rollout.apply(release(), QUICK)
    assert "status 503" in failure.value.problem
    assert outcomes(rollout) == [(1, "silent")]
