"""The autoscaling policy as Ray Serve calls it, for `autoscaling_policy` of the application.

It belongs to the application, not to a deployment, because the gateways know how many classifiers
are needed. Ray restarts the application when the policy or its `policy_kwargs` change, while
the bounds and delays of a deployment's `autoscaling_config` change live.
"""

from collections.abc import Mapping
from typing import Any

from ray.serve._private.common import DeploymentID
from ray.serve.config import AutoscalingContext

from serve_app import autoscaling as work
from serve_app.settings import ScalingSettings, WorkPolicySettings


class WorkPolicy:
    """The policy over what replicas report, with the settings of `WorkPolicySettings`.

    Ray applies the bounds, `upscale_delay_s` and `downscale_delay_s` to what it returns.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = WorkPolicySettings.model_validate(settings)

    def __call__(
        self, contexts: Mapping[DeploymentID, AutoscalingContext]
    ) -> tuple[dict[DeploymentID, int], dict[DeploymentID, dict[str, Any]]]:
        """Return how many replicas of each deployment there should be, and no state."""
        by_name = {deployment.name: context for deployment, context in contexts.items()}
        gateway, classifier = by_name["Gateway"], by_name["Classifier"]
        # Demand is averaged over the classifiers' look-back period: they are to follow it.
        scaling: Any = classifier.config
        demand_s, now = scaling.look_back_period_s, classifier.current_time or 0.0
        for_gateway, for_classifier = self._settings.gateway, self._settings.classifier
        since = now - for_gateway.stale_s
        asking = [work.read_gateway(samples, since, demand_s) for samples in _samples(gateway)]
        since = now - for_classifier.stale_s
        working = [work.read_classifier(samples, since) for samples in _samples(classifier)]
        workload = work.classifier_workload(working, asking)
        return {
            gateway.deployment_id: _decide(gateway, work.gateway_workload(asking), for_gateway),
            classifier.deployment_id: _decide(classifier, workload, for_classifier),
        }, {}


def _decide(
    context: AutoscalingContext, workload: work.Workload | None, settings: ScalingSettings
) -> int:
    fleet = work.Fleet(
        running=context.current_num_replicas,
        target=context.target_num_replicas,
        min_replicas=context.capacity_adjusted_min_replicas,
        max_replicas=context.capacity_adjusted_max_replicas,
    )
    return work.required_replicas(workload, fleet, settings)


def _samples(context: AutoscalingContext) -> list[dict[str, work.Series]]:
    """Return the samples of each running replica, by name."""
    return [
        {
            name: [(sample.timestamp, sample.value) for sample in by_replica.get(replica, ())]
            for name, by_replica in (context.raw_metrics or {}).items()
        }
        for replica in context.running_replicas
    ]
