"""Rollouts that the API server, the operator or the tool itself refuses."""

from dataclasses import replace
from typing import Any

import pytest

from serve_app.errors import InvalidManifest, RolloutFailed, RolloutRefused, StartupError
from serve_app.rollout.cluster import Api
from serve_app.rollout.rollout import Rollout
from tests.k8s.rollout.api_server import ApiServer
from tests.k8s.rollout.conftest import live, outcomes
from tests.k8s.rollout.objects import Refusal
from tests.k8s.rollout.release import NAME, NAMESPACE, SECOND, release


def test_a_specification_that_the_operator_refuses_fails_at_once(
    api: Api, rollout: Rollout
) -> None:
    rollout.apply(release())
    with pytest.raises(RolloutRefused) as refusal:
        rollout.apply(release(strategy="Sometimes"))
    assert "Spec.UpgradeStrategy.Type value Sometimes is invalid" in refusal.value.problem
    assert refusal.value.exit_status == 3
    # The condition stays until the operator's next pass, and does not concern the next release.
    rollout.apply(release())
    assert outcomes(api)[-1] == (3, "served")


def test_an_invalid_release_changes_nothing(server: ApiServer, rollout: Rollout) -> None:
    rollout.apply(release())
    before, applied = live(server)["metadata"]["generation"], len(server.applied)
    wanted = release(SECOND)
    del wanted.service["spec"]["rayClusterConfig"]
    with pytest.raises(RolloutRefused) as refusal:
        rollout.apply(wanted)
    assert refusal.value.problem == (
        'RayService sentiment: RayService.ray.io "sentiment" is invalid: '
        "spec.rayClusterConfig: Required value"
    )
    assert (live(server)["metadata"]["generation"], len(server.applied)) == (before, applied)


def test_the_refusal_of_a_webhook_is_quoted(server: ApiServer, rollout: Rollout) -> None:
    def deny(document: dict[str, Any]) -> None:
        if document["kind"] == "RayService":
            text = 'admission webhook "policy.example.com" denied the request: no probes'
            raise Refusal(403, "Forbidden", text)

    rollout.apply(release())
    server.objects.webhook = deny
    with pytest.raises(RolloutRefused) as refusal:
        rollout.apply(release(SECOND))
    assert refusal.value.problem.endswith('"policy.example.com" denied the request: no probes')


def test_a_field_of_another_tool_is_taken_over_only_with_force(
    server: ApiServer, rollout: Rollout
) -> None:
    rollout.apply(release())
    theirs = {"metadata": {"name": NAME, "namespace": NAMESPACE}, "kind": "RayService"}
    server.put(theirs | {"spec": {"suspend": True}}, "kubectl")
    wanted = release(SECOND)
    wanted.service["spec"]["suspend"] = False
    with pytest.raises(RolloutRefused) as refusal:
        rollout.apply(wanted)
    assert 'conflict with "kubectl": .spec.suspend' in refusal.value.problem
    assert "--force-conflicts" in refusal.value.hint
    replace(rollout, force=True).apply(wanted)
    assert live(server)["spec"]["suspend"] is False


def test_a_change_that_the_operator_ignores_is_a_failure(rollout: Rollout) -> None:
    rollout.apply(release(strategy="None"))
    with pytest.raises(RolloutFailed, match="the operator ignores it"):
        rollout.apply(release(SECOND, strategy="None"))


def test_an_unknown_kind_is_named(rollout: Rollout) -> None:
    wanted = release()
    wanted.service["apiVersion"] = "ray.io/v9"
    rollout.apply(release())
    with pytest.raises(InvalidManifest, match="does not know RayService of"):
        rollout.apply(wanted)


def test_a_wrong_url_is_refused_before_anything_is_applied(rollout: Rollout) -> None:
    with pytest.raises(StartupError, match="is not a URL"):
        replace(rollout, url="app.example.com")
