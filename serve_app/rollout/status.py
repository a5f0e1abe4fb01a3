"""The status that the operator writes into a RayService, as far as a rollout needs it."""

from typing import Final

import yaml
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from serve_app.rollout.manifest import Document

RUNNING: Final = "RUNNING"
# A deployment that autoscales serves; UPDATING means that replicas are still replaced.
_SERVING: Final = frozenset({"HEALTHY", "UPSCALING", "DOWNSCALING"})


class _Part(BaseModel):
    """A part of the status: unknown fields belong to newer operators."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)


class Condition(_Part):
    """One of the operator's conditions."""

    type: str
    status: str
    reason: str = ""
    message: str = ""


class Deployment(_Part):
    """A Serve deployment."""

    status: str = ""
    message: str = ""


class Application(_Part):
    """A Serve application."""

    status: str = ""
    message: str = ""
    deployments: dict[str, Deployment] = Field(default={}, alias="serveDeploymentStatuses")

    @property
    def settled(self) -> bool:
        """Whether it runs as it was last configured."""
        return self.status == RUNNING and all(
            deployment.status in _SERVING for deployment in self.deployments.values()
        )

    @property
    def reason(self) -> str:
        """What is wrong with it, in its own words, as one line."""
        messages = [self.message, *(part.message for part in self.deployments.values())]
        return one_line(next(filter(None, messages), self.status))


class Cluster(_Part):
    """The Ray cluster that serves (active), or the one that is to replace it (pending)."""

    name: str = Field(default="", alias="rayClusterName")
    applications: dict[str, Application] = Field(default={}, alias="applicationStatuses")

    def __str__(self) -> str:
        """Return what runs on it."""
        states = [
            ", ".join([f"{name} {application.status}", *_unsettled(application)])
            for name, application in self.applications.items()
        ]
        return "; ".join(states) or "no applications yet"


class _Status(_Part):
    observed_generation: int = 0
    num_serve_endpoints: int = 0
    last_update_time: str = ""
    conditions: tuple[Condition, ...] = ()
    active_service_status: Cluster = Cluster()
    pending_service_status: Cluster = Cluster()


class _Spec(_Part):
    serve_config_v2: str = Field(default="", alias="serveConfigV2")


class _Metadata(_Part):
    generation: int = 0
    resource_version: str = ""


class ServiceState(_Part):
    """A RayService as the API server shows it."""

    metadata: _Metadata
    spec: _Spec
    status: _Status = _Status()

    @property
    def applications(self) -> frozenset[str]:
        """Names of the Serve applications that are asked for."""
        config = yaml.safe_load(self.spec.serve_config_v2) or {}
        return frozenset(application["name"] for application in config.get("applications", []))

    @property
    def active(self) -> Cluster:
        """The cluster that serves; without a name before the first one does."""
        return self.status.active_service_status

    @property
    def pending(self) -> Cluster:
        """The cluster that is to replace it; without a name where there is none."""
        return self.status.pending_service_status

    @property
    def observed(self) -> bool:
        """Whether the status tells of the specification that was applied last."""
        return self.status.observed_generation >= self.metadata.generation

    @property
    def upgrading(self) -> bool:
        """Whether a cluster is to replace the one that serves."""
        return self.holds("UpgradeInProgress")

    def holds(self, condition: str) -> bool:
        """Tell whether a condition is true."""
        found = self.condition(condition)
        return found is not None and found.status == "True"

    def condition(self, name: str) -> Condition | None:
        """Return a condition, if the operator has written it."""
        return next((found for found in self.status.conditions if found.type == name), None)

    @property
    def serves(self) -> bool:
        """Whether the active cluster serves all that is asked for, and all of it is settled."""
        running = self.active.applications
        return (
            bool(self.active.name)
            and self.applications <= running.keys()
            and all(application.settled for application in running.values())
            and self.status.num_serve_endpoints > 0
        )


def read(service: Document) -> ServiceState:
    """Read a RayService."""
    return ServiceState.model_validate(service)


def one_line(message: str) -> str:
    """Return a message in one line: of a traceback, its last line, which names the error."""
    lines = [line.strip() for line in message.strip().splitlines() if line.strip()]
    if any(line.startswith("Traceback") for line in lines):
        return lines[-1]
    return " ".join(lines)


def _unsettled(application: Application) -> list[str]:
    return [
        f"{name} {deployment.status}"
        for name, deployment in application.deployments.items()
        if deployment.status != "HEALTHY"
    ]
