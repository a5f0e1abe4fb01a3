"""The policy as Ray Serve calls it, for `autoscaling_policy` of the application.

It belongs to the application, not to a deployment, because how many classifiers are needed shows
in the gateways. Ray restarts the application when the policy or its `policy_kwargs` change, while
the bounds and delays of a deployment's `autoscaling_config` change live.
"""

from collections.abc import Mapping
from typing import Any, Final

from ray.serve._private.common import DeploymentID
from ray.serve.config import AutoscalingContext

from serve_app.autoscaling import policy as signal
from serve_app.autoscaling.policy import Fleet, Load, replicas
from serve_app.autoscaling.replica_stats import Series, read_classifier, read_gateway
from serve_app.settings import ScalingSettings, WorkPolicySettings

GATEWAY: Final = "Gateway"
CLASSIFIER: Final = "Classifier"


class WorkPolicy:
    """Follows the work that replicas report through `record_autoscaling_stats`.

    Ray applies the bounds, `upscale_delay_s` and `downscale_delay_s` to what it returns.

    Args:
        **settings: Those of `WorkPolicySettings`.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = WorkPolicySettings.model_validate(settings)

    def __call__(
        self, contexts: Mapping[DeploymentID, AutoscalingContext]
    ) -> tuple[dict[DeploymentID, int], dict[DeploymentID, dict[str, Any]]]:
        """Return how many replicas of each deployment there should be, and no state."""
        by_name = {deployment.name: context for deployment, context in contexts.items()}
        gateway, classifier = by_name[GATEWAY], by_name[CLASSIFIER]
        # Demand is averaged over the classifiers' look-back period: they are to follow it.
        scaling: Any = classifier.config
        demand_s = scaling.look_back_period_s
        of_gateways, of_classifiers = self._settings.gateway, self._settings.classifier
        asking = [
            read_gateway(series, _since(gateway, of_gateways), demand_s)
            for series in _series(gateway)
        ]
        working = [
            read_classifier(series, _since(classifier, of_classifiers))
            for series in _series(classifier)
        ]
        return {
            gateway.deployment_id: _decide(gateway, signal.gateway_load(asking), of_gateways),
            classifier.deployment_id: _decide(
                classifier, signal.classifier_load(working, asking), of_classifiers
            ),
        }, {}


def _decide(context: AutoscalingContext, load: Load | None, settings: ScalingSettings) -> int:
    fleet = Fleet(
        running=context.current_num_replicas,
        target=context.target_num_replicas,
        least=context.capacity_adjusted_min_replicas,
        most=context.capacity_adjusted_max_replicas,
    )
    return replicas(load, fleet, settings)


def _series(context: AutoscalingContext) -> list[dict[str, Series]]:
    """Return the samples of each running replica, by name."""
    samples = context.raw_metrics or {}
    return [
        {name: by_replica.get(replica, ()) for name, by_replica in samples.items()}
        for replica in context.running_replicas
    ]


def _since(context: AutoscalingContext, settings: ScalingSettings) -> float:
    return (context.current_time or 0.0) - settings.stale_s
