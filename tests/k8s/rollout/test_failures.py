"""Rollouts that start and fail, and how the failure is reported."""

from dataclasses import replace
from typing import Any

import pytest

from serve_app.errors import ConnectionLost, PredictionFailed, RolloutFailed, RolloutTimeout
from serve_app.rollout.cluster import Api
from serve_app.rollout.rollout import Rollout
from tests.k8s.rollout.api_server import ApiServer
from tests.k8s.rollout.conftest import QUICK, active, live, outcomes
from tests.k8s.rollout.objects import Refusal
from tests.k8s.rollout.operator import BROKEN_IMPORT, MISSING_IMAGE, REFUSED_BY_SERVE
from tests.k8s.rollout.release import SECOND, release


def test_an_image_that_cannot_be_pulled_fails_with_the_words_of_kubernetes(
    server: ApiServer, api: Api, rollout: Rollout
) -> None:
    rollout.apply(release())
    old = active(server)
    with pytest.raises(RolloutFailed) as failure:
        rollout.apply(release(SECOND, image=MISSING_IMAGE))
    assert failure.value.problem == (
        "pod sentiment-2-head-abcde: ImagePullBackOff: Back-off pulling image "
        f'"{MISSING_IMAGE}@sha256:{SECOND}": not found'
    )
    conditions = {found["type"]: found["status"] for found in live(server)["status"]["conditions"]}
    assert conditions == {"Ready": "True", "UpgradeInProgress": "True"}
    assert active(server) == old
    assert outcomes(api) == [(1, "served"), (2, "failed")]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"digest": SECOND, "import_path": BROKEN_IMPORT},
            "application sentiment is DEPLOY_FAILED: "
            "serve_app.errors.ModelUnusable: no model directory at /models/second",
        ),
        (
            {"lab_import_path": BROKEN_IMPORT},
            "application lab is DEPLOY_FAILED: "
            "serve_app.errors.ModelUnusable: no model directory at /models/second",
        ),
        (
            {"import_path": REFUSED_BY_SERVE},
            "the operator cannot apply the change: "
            "fail to create / update Serve applications: 400 Bad Request",
        ),
    ],
)
def test_a_failure_of_serve_is_explained_by_its_error(
    change: dict[str, Any], problem: str, rollout: Rollout
) -> None:
    rollout.apply(release())
    with pytest.raises(RolloutFailed) as failure:
        rollout.apply(release(**change))
    assert failure.value.problem == problem
    assert failure.value.exit_status == 4


def test_a_failed_application_can_be_repaired_in_place(api: Api, rollout: Rollout) -> None:
    with pytest.raises(RolloutFailed):
        rollout.apply(release(import_path=BROKEN_IMPORT))
    rollout.apply(release())
    assert outcomes(api)[-1] == (2, "served")


def test_a_lost_connection_is_retried_for_a_while(
    server: ApiServer, rollout: Rollout, progress: list[str]
) -> None:
    rollout.apply(release())

    def drop(line: str) -> None:
        progress.append(line)
        if "sentiment DEPLOYING" in line:
            server.drops = 3

    replace(rollout, progress=drop).apply(release(SECOND))
    assert any("the API server does not answer" in line for line in progress)
    assert progress[-1] == "revision 2 serves"


def test_a_connection_lost_for_good_ends_with_a_hint(server: ApiServer, rollout: Rollout) -> None:
    rollout.apply(release())

    def stop(line: str) -> None:
        if "sentiment DEPLOYING" in line:
            server.stop()

    with pytest.raises(ConnectionLost) as lost:
        replace(rollout, progress=stop).apply(release(SECOND))
    assert "the rollout may still go on" in lost.value.problem
    assert lost.value.exit_status == 6


def test_an_upgrade_that_neither_completes_nor_fails_times_out(api: Api, rollout: Rollout) -> None:
    rollout.apply(release())
    impatient = QUICK._replace(timeout_s=0.1, patience_s=60)
    with pytest.raises(RolloutTimeout) as late:
        replace(rollout, limits=impatient).apply(release(SECOND, image=MISSING_IMAGE))
    assert "new cluster sentiment-2" in late.value.problem
    assert outcomes(api) == [(1, "served"), (2, "applied")]


def test_a_service_that_requires_a_key_gets_a_hint_how_to_pass_one(
    server: ApiServer, rollout: Rollout
) -> None:
    server.api_key = "the-key-of-a-client"
    with pytest.raises(PredictionFailed) as failure:
        rollout.apply(release())
    assert "$SENTIMENT_API_KEY" in failure.value.hint


def test_a_service_that_the_api_server_cannot_reach_gets_a_hint_to_use_its_url(
    server: ApiServer, rollout: Rollout
) -> None:
    def unreachable() -> tuple[int, Any]:
        raise Refusal(503, "ServiceUnavailable", "error trying to reach service: i/o timeout")

    server.prediction = unreachable
    with pytest.raises(PredictionFailed) as failure:
        rollout.apply(release())
    assert "i/o timeout" in failure.value.problem
    assert "--url" in failure.value.hint


def test_a_service_that_does_not_predict_is_recorded_as_silent(
    server: ApiServer, api: Api, rollout: Rollout
) -> None:
    server.prediction = lambda: (503, {"title": "Model unavailable"})
    with pytest.raises(PredictionFailed) as failure:
        rollout.apply(release())
    assert "503 Model unavailable" in failure.value.problem
    assert outcomes(api) == [(1, "silent")]
