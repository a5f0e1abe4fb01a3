"""The service of a case."""

from pathlib import Path
from typing import Any, Final

from loadtest.ray_service import CLASSIFIER, GATEWAY, Bounds, RayService

LOGICAL_CPUS: Final = 8

Content = dict[str, Any]


def stage_of(
    config: Path,
    args: Content,
    *,
    gateway: Content | None = None,
    classifier: Content | None = None,
    replicas: tuple[int, int] = (1, 1),
    cpus: int = LOGICAL_CPUS,
) -> RayService:
    """Deploy a service for a case."""
    stage = RayService(
        config,
        args,
        gateway={"user_config": gateway or {}},
        classifier={"user_config": classifier or {}},
        cpus=cpus,
    )
    counts = dict(zip((GATEWAY, CLASSIFIER), replicas, strict=True))
    for name, count in counts.items():
        stage.scale(name, Bounds(count, count))
    stage.deploy(**counts)
    return stage
