from typing import Any

import pytest
from pydantic import ValidationError
from ray.serve._private.common import DeploymentID, ReplicaID, TimeStampedValue
from ray.serve.config import AutoscalingConfig, AutoscalingContext, AutoscalingPolicy

from serve_app.autoscaling.serve_policy import WorkPolicy
from serve_app.autoscaling.signal import stats
from serve_app.config import WorkPolicySchema

NOW = 1e9
DEPLOYMENT = DeploymentID(name="Classifier", app_name="sentiment")
REPLICAS = [ReplicaID(unique_id=str(n), deployment_id=DEPLOYMENT) for n in range(2)]


def context(
    arriving: float, age_s: float = 0.0, queued: float = 0.0, now: float = NOW, **given: Any
) -> AutoscalingContext:
    """Return what Ray passes while each of two replicas gets so many tokens a second."""
    raw: dict[str, dict[ReplicaID, list[TimeStampedValue]]] = {}
    for second in range(3):
        published = stats(waiting=0, arrived=arriving * second, calls=second, rate=100)
        for name, value in published.items():
            for replica in REPLICAS:
                sample = TimeStampedValue(now - age_s + second - 2, value)
                raw.setdefault(name, {}).setdefault(replica, []).append(sample)
    return AutoscalingContext(
        deployment_id=DEPLOYMENT,
        deployment_name=DEPLOYMENT.name,
        app_name=DEPLOYMENT.app_name,
        current_num_replicas=2,
        target_num_replicas=2,
        running_replicas=REPLICAS,
        total_num_requests=0,
        total_queued_requests=queued,
        aggregated_metrics=None,
        raw_metrics=given.get("raw_metrics", raw),
        capacity_adjusted_min_replicas=1,
        capacity_adjusted_max_replicas=20,
        policy_state=given.get("policy_state", {}),
        last_scale_up_time=None,
        last_scale_down_time=None,
        current_time=now,
        config=AutoscalingConfig(max_replicas=20),
    )


def test_it_follows_what_replicas_report() -> None:
    assert WorkPolicy()(context(arriving=375))[0] == 10
    assert WorkPolicy(target_utilization=1.0)(context(arriving=375))[0] == 8


def test_it_sees_how_fast_the_queue_to_the_replicas_grows() -> None:
    policy = WorkPolicy(target_wait_s=1000.0)
    asked, state = 0, dict[str, Any]()
    for second in range(5):
        # A call carries 375 tokens, so that one more a second makes 1125 of 750: 15 replicas'.
        asked, state = policy(context(375, queued=second, now=NOW + second, policy_state=state))
    assert asked == 15
    assert len(state["queue_seen"]) == 4


@pytest.mark.parametrize(
    "silent", [context(375, age_s=60), context(375, raw_metrics={}), context(375, raw_metrics=None)]
)
def test_silence_changes_nothing(silent: AutoscalingContext) -> None:
    assert WorkPolicy()(silent)[0] == 2


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match="target_wait"):
        WorkPolicy(target_wait=1)


def test_ray_finds_the_policy_that_a_configuration_names() -> None:
    named = WorkPolicySchema.model_fields["policy_function"].annotation
    path = getattr(named, "__args__", [""])[0]
    policy = AutoscalingPolicy(policy_function=path).get_policy()
    assert policy(target_wait_s=1.0)(context(arriving=375))[0] == 10
