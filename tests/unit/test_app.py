import inspect

import pytest

from serve_app.ray_serve.classifier import Classifier
from serve_app.ray_serve.gateway import GatewayIngress


@pytest.mark.parametrize("deployment", [GatewayIngress, Classifier])
def test_autoscaling_stats_are_recorded_on_the_event_loop(
    deployment: type[GatewayIngress | Classifier],
) -> None:
    # Serve runs plain methods in threads, beside the event loop that changes what they read.
    assert inspect.iscoroutinefunction(deployment.record_autoscaling_stats)
