"""The policy as Ray Serve calls it, for `autoscaling_config.policy` of a deployment.

Ray restarts the whole application when `policy_function` or `policy_kwargs` change, while the
bounds and delays of `autoscaling_config` change live.
"""

from typing import Any, Final

from ray.serve.config import AutoscalingContext

from serve_app.autoscaling.policy import Fleet, replicas
from serve_app.autoscaling.signal import Queue, combine, read
from serve_app.settings import ScalingSettings

SEEN: Final = "queue_seen"
GROWTH_S: Final = 3.0


class WorkPolicy:
    """Follows the work that replicas report through `record_autoscaling_stats`.

    Ray applies the bounds, `upscale_delay_s` and `downscale_delay_s` to what it returns.

    Args:
        **settings: Those of `ScalingSettings`.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = ScalingSettings.model_validate(settings)

    def __call__(self, context: AutoscalingContext) -> tuple[int, dict[str, Any]]:
        """Return how many replicas there should be, and the state for the next call."""
        series = context.raw_metrics or {}
        reports = [
            read(
                {name: by_replica.get(replica, ()) for name, by_replica in series.items()},
                context.current_time or 0.0,
                self._settings.stale_s,
            )
            for replica in context.running_replicas
        ]
        fleet = Fleet(
            running=context.current_num_replicas,
            target=context.target_num_replicas,
            least=context.capacity_adjusted_min_replicas,
            most=context.capacity_adjusted_max_replicas,
        )
        queue, seen = _queue(context)
        return replicas(combine(reports, queue), fleet, self._settings), {SEEN: seen}


def _queue(context: AutoscalingContext) -> tuple[Queue, list[tuple[float, float]]]:
    """Return the queue to the replicas, and what was seen of it lately.

    Ray gives its mean over the look-back period, so that the difference between two of them, over
    the time between them, is how fast the queue grew within that period.
    """
    now, calls = context.current_time or 0.0, context.total_queued_requests
    earlier: list[tuple[float, float]] = context.policy_state.get(SEEN, [])
    seen = [(time, count) for time, count in earlier if now - GROWTH_S <= time < now]
    growth = (calls - seen[0][1]) / (now - seen[0][0]) if seen else 0.0
    return Queue(calls, growth), [*seen, (now, calls)]
