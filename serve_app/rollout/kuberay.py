"""A RayService as KubeRay handles it: its status, its pods, and the effect of a change."""

import copy
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

import yaml
from pydantic import AliasPath, BaseModel, Field

from serve_app.console import one_line
from serve_app.rollout.manifest import Document

# An autoscaled deployment serves in these states; UPDATING means that replicas are being replaced.
_SERVING: Final = frozenset({"HEALTHY", "UPSCALING", "DOWNSCALING"})
# The kubelet's other reasons for a waiting container are errors.
_STARTING: Final = frozenset({"", "ContainerCreating", "PodInitializing"})
_UNSCHEDULABLE: Final = "Unschedulable"


def at(*path: str, default: Any = ...) -> Any:
    """Return a field that an object of Kubernetes has at this path."""
    return Field(default=default, validation_alias=AliasPath(path[0], *path[1:]))


class Condition(BaseModel):
    """A condition that the operator writes; its status is Unknown before it does."""

    type: str
    status: str = "Unknown"
    reason: str = ""
    message: str = ""


class _Deployment(BaseModel):
    status: str = ""
    message: str = ""


class Application(_Deployment):
    """The status of a Serve application, and of its deployments."""

    deployments: dict[str, _Deployment] = Field(default={}, alias="serveDeploymentStatuses")

    @property
    def settled(self) -> bool:
        """Whether it runs as it was last configured."""
        states = {deployment.status for deployment in self.deployments.values()}
        return self.status == "RUNNING" and states <= _SERVING

    @property
    def reason(self) -> str:
        """The first message of Serve about it, in one line; else its status."""
        messages = [self.message, *(each.message for each in self.deployments.values())]
        return one_line(next(filter(None, messages), self.status))

    def __str__(self) -> str:
        """Return the status, and that of each deployment that is not healthy."""
        states = {name: deployment.status for name, deployment in self.deployments.items()}
        unhealthy = [f"{name} {state}" for name, state in states.items() if state != "HEALTHY"]
        return ", ".join([self.status, *unhealthy])


class Cluster(BaseModel):
    """The status of a Ray cluster of the RayService."""

    name: str = Field(default="", alias="rayClusterName")
    applications: dict[str, Application] = Field(default={}, alias="applicationStatuses")

    def __str__(self) -> str:
        """Return the status of each application."""
        states = [f"{name} {application}" for name, application in self.applications.items()]
        return "; ".join(states) or "no applications yet"


class ServiceState(BaseModel):
    """A RayService as the API server returns it; a cluster that does not exist has no name."""

    generation: int = at("metadata", "generation", default=0)
    resource_version: str = at("metadata", "resourceVersion", default="")
    serve_config: str = at("spec", "serveConfigV2", default="")
    observed_generation: int = at("status", "observedGeneration", default=0)
    endpoints: int = at("status", "numServeEndpoints", default=0)
    conditions: tuple[Condition, ...] = at("status", "conditions", default=())
    active: Cluster = at("status", "activeServiceStatus", default=Cluster())
    pending: Cluster = at("status", "pendingServiceStatus", default=Cluster())

    @property
    def observed(self) -> bool:
        """Whether the status belongs to the specification that was applied last."""
        return self.observed_generation >= self.generation

    @property
    def newest(self) -> Cluster:
        """The pending cluster, or the active one if none is pending."""
        return self.pending if self.pending.name else self.active

    def condition(self, name: str) -> Condition:
        """Return the condition of this type."""
        found = {condition.type: condition for condition in self.conditions}
        return found.get(name, Condition(type=name))

    @property
    def serves(self) -> bool:
        """Whether the active cluster alone serves every configured application."""
        if not self.active.name or self.condition("UpgradeInProgress").status == "True":
            return False
        config = yaml.safe_load(self.serve_config) or {}
        wanted = {application["name"] for application in config.get("applications", [])}
        running = self.active.applications
        settled = all(application.settled for application in running.values())
        return wanted <= running.keys() and settled and self.endpoints > 0


class PodProblem(NamedTuple):
    """A reason why a pod does not run; `may_wait` if the cluster may still start a node for it."""

    text: str
    may_wait: bool = False


def pod_problems(pods: Sequence[Document]) -> tuple[PodProblem, ...]:
    """Return what keeps these pods from running, the worst first."""
    problems = []
    for pod in pods:
        for reason, details in _failures(pod.get("status", {})):
            words = f"pod {pod['metadata']['name']}", reason, details.get("message")
            text = one_line(": ".join(filter(None, words)))
            problems.append(PodProblem(text, may_wait=reason == _UNSCHEDULABLE))
    return tuple(sorted(problems, key=lambda problem: problem.may_wait))


def _failures(status: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind) or ():
            state = container.get("state", {})
            waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
            if waiting.get("reason", "") not in _STARTING:
                yield waiting["reason"], waiting
            elif ended.get("exitCode"):
                yield f"{ended.get('reason', 'Error')}, exit code {ended['exitCode']}", ended
    for condition in status.get("conditions") or ():
        if condition.get("reason") == _UNSCHEDULABLE:
            yield _UNSCHEDULABLE, condition


class Impact(StrEnum):
    """The effect of a change of the specification, in words for the user."""

    FIRST = "a first cluster is started"
    NOTHING = "nothing changes in the cluster"
    IN_PLACE = "the running cluster is changed in place"
    NEW_CLUSTER = "a new cluster is started beside the old one, at up to twice the capacity"
    IGNORED = "the operator ignores it: upgradeStrategy.type is None"


def impact(before: Document | None, after: Document) -> Impact:
    """Return the effect of a change from the live RayService; both include their defaults."""
    if before is None:
        return Impact.FIRST
    old, new = before["spec"], after["spec"]
    if old == new:
        return Impact.NOTHING
    # Worker groups added at the end join the running cluster.
    groups = len(old["rayClusterConfig"].get("workerGroupSpecs", []))
    if _hashed(old["rayClusterConfig"], groups) == _hashed(new["rayClusterConfig"], groups):
        return Impact.IN_PLACE
    if (new.get("upgradeStrategy") or {}).get("type") == "None":
        return Impact.IGNORED
    return Impact.NEW_CLUSTER


def _hashed(cluster: dict[str, Any], groups: int) -> dict[str, Any]:
    """Return a cluster's configuration without the fields that a running cluster takes over."""
    hashed = copy.deepcopy(cluster)
    hashed.pop("upgradeStrategy", None)
    workers = hashed["workerGroupSpecs"] = hashed.get("workerGroupSpecs", [])[:groups]
    for group in (hashed.get("headGroupSpec", {}), *workers):
        for name in ("replicas", "minReplicas", "maxReplicas"):
            group.pop(name, None)
        group.get("scaleStrategy", {}).pop("workersToDelete", None)
        pod = group.get("template", {}).get("spec", {})
        pod.pop("tolerations", None)
        pod.pop("schedulingGates", None)
    return hashed
