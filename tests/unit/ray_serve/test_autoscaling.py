from collections.abc import Mapping
from typing import Any, get_args

import pytest
from pydantic import ValidationError
from ray.serve._private.common import DeploymentID, ReplicaID, TimeStampedValue
from ray.serve.config import AutoscalingConfig, AutoscalingContext, AutoscalingPolicy

from serve_app.autoscaling import classifier_stats, gateway_stats
from serve_app.ray_serve.autoscaling import WorkPolicy
from serve_app.ray_serve.config import ClassifierDeployment, GatewayDeployment, WorkPolicySchema

NOW = 1e9
SECONDS = 5


def context(name: str, published: list[dict[str, float]], **given: Any) -> AutoscalingContext:
    """Return what Ray passes while each of two replicas publishes this, a second apart."""
    deployment = DeploymentID(name=name, app_name="sentiment")
    replicas = [ReplicaID(unique_id=str(n), deployment_id=deployment) for n in range(2)]
    raw: dict[str, dict[ReplicaID, list[TimeStampedValue]]] = {}
    for age, stats in zip(range(len(published) - 1, -1, -1), published, strict=True):
        for metric, value in stats.items():
            for replica in replicas:
                sample = TimeStampedValue(NOW - given.get("age_s", 0.0) - age, value)
                raw.setdefault(metric, {}).setdefault(replica, []).append(sample)
    return AutoscalingContext(
        deployment_id=deployment,
        deployment_name=name,
        app_name=deployment.app_name,
        current_num_replicas=2,
        target_num_replicas=2,
        running_replicas=replicas,
        total_num_requests=0,
        total_queued_requests=0,
        aggregated_metrics=None,
        raw_metrics=given.get("raw_metrics", raw),
        capacity_adjusted_min_replicas=1,
        capacity_adjusted_max_replicas=20,
        policy_state={},
        last_scale_up_time=None,
        last_scale_down_time=None,
        current_time=NOW,
        config=AutoscalingConfig(max_replicas=20),
    )


def gateways(chars: int, cpu: float, **given: Any) -> AutoscalingContext:
    """Return two gateways to each of which so many characters come each second."""
    published = [
        gateway_stats(cpu_seconds=cpu * n, wanted_chars=chars * n, held_chars=0)
        for n in range(SECONDS)
    ]
    return context("Gateway", published, **given)


def classifiers(**given: Any) -> AutoscalingContext:
    """Return two classifiers that do a hundred tokens of four characters each second."""
    published = [classifier_stats(waiting=0, rate=100, tokens_per_char=0.25)] * SECONDS
    return context("Classifier", published, **given)


def asked(
    gateway: AutoscalingContext,
    classifier: AutoscalingContext,
    settings: dict[str, float] | None = None,
) -> Mapping[str, int]:
    contexts = {each.deployment_id: each for each in (gateway, classifier)}
    decisions, state = WorkPolicy(classifier=settings or {})(contexts)
    assert state == {}
    return {deployment.name: count for deployment, count in decisions.items()}


def test_classifiers_follow_what_comes_to_the_gateways() -> None:
    assert asked(gateways(1500, 0), classifiers())["Classifier"] == 10
    fully_used = {"target_utilization": 1.0}
    assert asked(gateways(1500, 0), classifiers(), fully_used)["Classifier"] == 8


def test_gateways_follow_the_time_that_they_take() -> None:
    assert asked(gateways(0, 0.9), classifiers())["Gateway"] == 3
    assert asked(gateways(0, 0.2), classifiers())["Gateway"] == 1


@pytest.mark.parametrize("given", [{"age_s": 60}, {"raw_metrics": {}}, {"raw_metrics": None}])
def test_silence_changes_nothing(given: dict[str, Any]) -> None:
    assert asked(gateways(1500, 0.9, **given), classifiers(**given)) == {
        "Gateway": 2,
        "Classifier": 2,
    }
    assert asked(gateways(1500, 0.9, **given), classifiers())["Classifier"] == 2


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match="target_wait"):
        WorkPolicy(classifier={"target_wait": 1})


def test_the_policy_knows_deployments_by_the_names_of_a_configuration() -> None:
    for name, schema in (("Gateway", GatewayDeployment), ("Classifier", ClassifierDeployment)):
        assert get_args(schema.model_fields["name"].annotation) == (name,)


def test_ray_finds_the_policy_that_a_configuration_names() -> None:
    (path,) = get_args(WorkPolicySchema.model_fields["policy_function"].annotation)
    assert AutoscalingPolicy(policy_function=path).get_policy() is WorkPolicy
