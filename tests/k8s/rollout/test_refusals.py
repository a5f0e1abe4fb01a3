"""Rollouts that the API server, the operator or the tool itself refuses."""

from typing import Any

import pytest

from serve_app.errors import InvalidManifest, RolloutFailed, RolloutRefused, StartupError
from serve_app.rollout.rollout import Rollout
from tests.k8s.rollout.api_server import ApiServer
from tests.k8s.rollout.conftest import QUICK
from tests.k8s.rollout.looks import live, outcomes
from tests.k8s.rollout.objects import Refusal
from tests.k8s.rollout.release import NAME, NAMESPACE, SECOND, release


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


def test_what_is_no_url_is_refused_before_anything_is_applied(
    server: ApiServer, rollout: Rollout
) -> None:
    with pytest.raises(StartupError, match="is no URL"):
        rollout.apply(release(), QUICK._replace(url="app.example.com"))
    assert server.applied == []
