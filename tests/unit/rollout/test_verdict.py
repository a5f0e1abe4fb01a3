"""One judgement after the other, at stated times; the sequences are in tests/k8s/rollout."""

from typing import Any

import pytest

from serve_app.rollout.evaluate import Done, Failed, Goal, Judge, Sight, Trouble, Verdict, Working
from serve_app.rollout.status import ServiceState, read

GOAL = Goal(generation=2, resource_version="10")
RUNNING = {"app": {"status": "RUNNING", "serveDeploymentStatuses": {"D": {"status": "HEALTHY"}}}}
FAILED = {"app": {"status": "DEPLOY_FAILED", "message": "no module\nnamed x"}}
SERVE_CONFIG = "applications: [{name: app}]"


def state(**status: Any) -> ServiceState:
    serving = {"rayClusterName": "old", "applicationStatuses": RUNNING}
    known = {"observedGeneration": 2, "numServeEndpoints": 2, "activeServiceStatus": serving}
    return read(
        {
            "metadata": {"generation": 2, "resourceVersion": "11"},
            "spec": {"serveConfigV2": SERVE_CONFIG},
            "status": known | status,
        }
    )


def condition(kind: str, status: str, reason: str = "", message: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def judge(goal: Goal = GOAL) -> Judge:
    return Judge(goal, settle_s=10, patience_s=60)


def looked(judge: Judge, *sights: tuple[float, ServiceState | None, Any]) -> list[Verdict]:
    return [judge.look(Sight(at, service, **more)) for at, service, more in sights]


def kinds(verdicts: list[Verdict]) -> list[type]:
    return [type(verdict) for verdict in verdicts]


def test_success_has_to_hold() -> None:
    verdicts = looked(judge(), (0, state(), {}), (9, state(), {}), (10, state(), {}))
    assert kinds(verdicts) == [Working, Working, Done]


def test_a_relapse_begins_the_wait_anew() -> None:
    none = state(numServeEndpoints=0)
    verdicts = looked(
        judge(), (0, state(), {}), (9, none, {}), (10, state(), {}), (19, state(), {})
    )
    assert kinds(verdicts) == [Working] * 4


def test_statuses_of_an_earlier_specification_do_not_count() -> None:
    stale = state(observedGeneration=1)
    assert kinds(looked(judge(), (0, stale, {}), (99, stale, {}))) == [Working, Working]


def test_an_application_that_is_asked_for_but_not_there_is_waited_for() -> None:
    empty = state(activeServiceStatus={"rayClusterName": "old", "applicationStatuses": {}})
    assert kinds(looked(judge(), (0, empty, {}), (99, empty, {}))) == [Working, Working]


def test_a_deployment_that_is_replacing_its_replicas_is_not_done() -> None:
    updating = {"status": "RUNNING", "serveDeploymentStatuses": {"D": {"status": "UPDATING"}}}
    cluster = {"rayClusterName": "old", "applicationStatuses": {"app": updating}}
    (_, last) = looked(
        judge(),
        (0, state(activeServiceStatus=cluster), {}),
        (99, state(activeServiceStatus=cluster), {}),
    )
    assert isinstance(last, Working)
    assert "D UPDATING" in last.text


def test_a_failed_application_has_to_be_failed_for_longer_than_a_status_is_stale() -> None:
    failed = state(activeServiceStatus={"rayClusterName": "old", "applicationStatuses": FAILED})
    verdicts = looked(judge(), (0, failed, {}), (9, failed, {}), (10, failed, {}))
    assert kinds(verdicts) == [Working, Working, Failed]
    assert verdicts[-1].text == "application app is DEPLOY_FAILED: no module named x"


def test_pods_may_be_in_trouble_for_a_while_and_wait_for_nodes_as_long_as_they_like() -> None:
    pending = state(pendingServiceStatus={"rayClusterName": "new"})
    pull = {"troubles": (Trouble("pod a: ErrImagePull"),)}
    room = {"troubles": (Trouble("pod a: Unschedulable", may_wait=True),)}
    verdicts = looked(
        judge(),
        (0, pending, room),
        (500, pending, room),
        (501, pending, pull),
        (560, pending, pull),
        (561, pending, pull),
    )
    assert kinds(verdicts) == [Working, Working, Working, Working, Failed]
    assert "(pod a: Unschedulable)" in verdicts[1].text


def test_a_validation_error_of_before_is_not_one_of_this_specification() -> None:
    invalid = [condition("Ready", "False", "ValidationFailed", "bad")]
    seen = state(observedGeneration=1, conditions=invalid)
    before = judge(GOAL._replace(resource_version="11"))
    assert kinds(looked(before, (0, seen, {}))) == [Working]
    (verdict,) = looked(judge(), (0, seen, {}))
    assert verdict == Failed("the operator refuses it: bad", refused=True)


def test_a_cluster_that_was_given_up_is_no_success() -> None:
    pending = state(pendingServiceStatus={"rayClusterName": "new"})
    (_, verdict) = looked(judge(), (0, pending, {}), (2, state(), {}))
    assert verdict == Failed("the operator went back to cluster old")


def test_a_configuration_that_serve_has_not_been_given_yet_is_waited_for() -> None:
    told = judge(GOAL._replace(submitted_after=5.0))
    verdicts = looked(
        told,
        (0, state(), {"submitted": 5.0}),
        (20, state(), {"submitted": 5.0}),
        (22, state(), {"submitted": 9.0}),
        (32, state(), {"submitted": None}),
    )
    assert kinds(verdicts) == [Working, Working, Working, Done]


@pytest.mark.parametrize(
    ("service", "text"),
    [
        (None, "deleted meanwhile"),
        (
            state(conditions=[condition("Ready", "False", "InitializingTimeout", "too late")]),
            "too late",
        ),
        (state(conditions=[condition("Suspended", "True")]), "is suspended"),
    ],
)
def test_some_things_are_final(service: ServiceState | None, text: str) -> None:
    (verdict,) = looked(judge(), (0, service, {}))
    assert isinstance(verdict, Failed)
    assert text in verdict.text


def test_a_later_change_by_somebody_else_ends_the_rollout() -> None:
    (verdict,) = looked(judge(GOAL._replace(generation=1)), (0, state(), {}))
    assert isinstance(verdict, Failed)
    assert "somebody else" in verdict.text


def test_an_operator_that_cannot_carry_it_out_is_quoted_after_a_while() -> None:
    stale, warned = state(observedGeneration=1), {"warnings": ("older", "i/o timeout")}
    verdicts = looked(judge(), (0, stale, warned), (59, stale, warned), (60, stale, warned))
    assert kinds(verdicts) == [Working, Working, Failed]
    assert verdicts[-1].text == "the operator cannot carry it out: i/o timeout"
