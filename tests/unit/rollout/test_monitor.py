"""Single evaluations at given times; whole rollouts are in tests/k8s/rollout."""

from typing import Any

import pytest

from serve_app.errors import RolloutError, RolloutFailed, RolloutRefused
from serve_app.rollout.kuberay import PodProblem, ServiceState
from serve_app.rollout.monitor import Evaluator, Goal, Limits, Snapshot

GOAL = Goal(generation=2, resource_version="10")
RUNNING = {"status": "RUNNING", "serveDeploymentStatuses": {"D": {"status": "HEALTHY"}}}
PROGRESSING, COMPLETE = "progressing", "complete"


def state(**status: Any) -> ServiceState:
    known = {"observedGeneration": 2, "numServeEndpoints": 2, **active(RUNNING)}
    return ServiceState.model_validate(
        {
            "metadata": {"generation": 2, "resourceVersion": "11"},
            "spec": {"serveConfigV2": "applications: [{name: app}]"},
            "status": known | status,
        }
    )


def active(application: dict[str, Any] | None) -> dict[str, Any]:
    applications = {"app": application} if application else {}
    status = {"rayClusterName": "old", "applicationStatuses": applications}
    return {"activeServiceStatus": status}


def condition(kind: str, status: str, reason: str = "", message: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


PENDING = state(pendingServiceStatus={"rayClusterName": "new"})


def evaluated(*snapshots: Snapshot, goal: Goal = GOAL) -> list[str]:
    """Return what follows from each snapshot; a failure is its problem."""
    evaluator = Evaluator(goal, Limits(settle_s=10, patience_s=60))
    results = []
    for snapshot in snapshots:
        try:
            evaluator.evaluate(snapshot)
        except RolloutError as error:
            results.append(error.problem)
        else:
            results.append(COMPLETE if evaluator.complete else PROGRESSING)
    return results


def test_success_has_to_last() -> None:
    results = evaluated(*(Snapshot(at, state()) for at in (0, 9, 10)))
    assert results == [PROGRESSING, PROGRESSING, COMPLETE]


def test_a_relapse_restarts_the_wait() -> None:
    without_endpoints = Snapshot(9, state(numServeEndpoints=0))
    snapshots = (Snapshot(at, state()) for at in (0, 10, 19, 20))
    first, *others = snapshots
    assert evaluated(first, without_endpoints, *others) == [PROGRESSING] * 4 + [COMPLETE]


@pytest.mark.parametrize(
    "service",
    [
        pytest.param(state(observedGeneration=1), id="status of an earlier specification"),
        pytest.param(state(**active(None)), id="application missing"),
        pytest.param(
            state(**active(RUNNING | {"serveDeploymentStatuses": {"D": {"status": "UPDATING"}}})),
            id="replicas being replaced",
        ),
    ],
)
def test_a_service_that_does_not_serve_yet_is_waited_for(service: ServiceState) -> None:
    assert evaluated(Snapshot(0, service), Snapshot(99, service)) == [PROGRESSING] * 2


def test_progress_names_the_deployments_that_are_not_healthy() -> None:
    updating = {"D": {"status": "UPDATING"}, "E": {"status": "HEALTHY"}}
    service = state(**active(RUNNING | {"serveDeploymentStatuses": updating}))
    text = Evaluator(GOAL, Limits()).evaluate(Snapshot(0, service))
    assert text == "cluster old: app RUNNING, D UPDATING, 2 endpoints"


def test_a_failed_application_has_to_stay_failed_for_longer_than_a_status_is_stale() -> None:
    failed = state(**active({"status": "DEPLOY_FAILED", "message": "no module\nnamed x"}))
    assert evaluated(*(Snapshot(at, failed) for at in (0, 9, 10))) == [
        PROGRESSING,
        PROGRESSING,
        "application app is DEPLOY_FAILED: no module named x",
    ]


def test_pods_may_fail_for_a_while_and_wait_for_nodes_without_limit() -> None:
    pull = (PodProblem("pod a: ErrImagePull"),)
    room = (PodProblem("pod a: Unschedulable", may_wait=True),)
    waiting = [Snapshot(at, PENDING, room) for at in (0, 500)]
    failing = [Snapshot(at, PENDING, pull) for at in (501, 560, 561)]
    results = evaluated(*waiting, *failing)
    assert results == [PROGRESSING] * 4 + ["pod a: ErrImagePull"]
    assert "(pod a: Unschedulable)" in Evaluator(GOAL, Limits()).evaluate(waiting[0])


def test_an_earlier_validation_error_does_not_refuse_this_specification() -> None:
    invalid = condition("Ready", "False", "ValidationFailed", "bad")
    snapshot = Snapshot(0, state(observedGeneration=1, conditions=[invalid]))
    assert evaluated(snapshot, goal=GOAL._replace(resource_version="11")) == [PROGRESSING]
    with pytest.raises(RolloutRefused, match="the operator refuses it: bad"):
        Evaluator(GOAL, Limits()).evaluate(snapshot)


def test_a_pending_cluster_that_was_given_up_is_a_failure() -> None:
    results = evaluated(Snapshot(0, PENDING), Snapshot(2, state()))
    assert results == [PROGRESSING, "the operator went back to cluster old"]


def test_success_waits_until_serve_has_received_the_configuration() -> None:
    snapshots = [
        Snapshot(at, state(), submitted=submitted)
        for at, submitted in ((0, 5.0), (20, 5.0), (22, 9.0), (32, None))
    ]
    results = evaluated(*snapshots, goal=GOAL._replace(submitted_after=5.0))
    assert results == [PROGRESSING] * 3 + [COMPLETE]


@pytest.mark.parametrize(
    ("service", "problem"),
    [
        (None, "was deleted"),
        (
            state(conditions=[condition("Ready", "False", "InitializingTimeout", "too late")]),
            "too late",
        ),
        (state(conditions=[condition("Suspended", "True")]), "is suspended"),
        (state().model_copy(update={"generation": 3}), "somebody else"),
    ],
)
def test_a_final_state_fails_at_once(service: ServiceState | None, problem: str) -> None:
    with pytest.raises(RolloutFailed, match=problem):
        Evaluator(GOAL, Limits()).evaluate(Snapshot(0, service))


def test_an_operator_that_cannot_apply_the_change_is_quoted_after_a_while() -> None:
    stale, warnings = state(observedGeneration=1), ("older", "i/o timeout")
    results = evaluated(*(Snapshot(at, stale, warnings=warnings) for at in (0, 59, 60)))
    failure = "the operator cannot apply the change: i/o timeout"
    assert results == [PROGRESSING, PROGRESSING, failure]
