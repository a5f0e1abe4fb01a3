"""What KubeRay 1.7.0 does about a RayService, pass by pass.

Follows `Reconcile` and `calculateStatus` of `rayservice_controller.go` in their order: validation,
clusters, Serve applications (statuses are read before a configuration is submitted), services,
promotion, the decision on a new cluster, endpoints, conditions, and one write if anything of it
differs. How pods and applications fare is read off the specification.
"""

import copy
import json
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

Document = dict[str, Any]

# An image of this name cannot be pulled, an application of this import path fails.
MISSING_IMAGE: Final = "registry.example.com/missing"
BROKEN_IMPORT: Final = "serve_app.app:broken"
REFUSED_BY_SERVE: Final = "serve_app.app:refused"
TRACEBACK: Final = """Deploying app 'sentiment' failed with exception:
Traceback (most recent call last):
  File "/app/serve_app/app.py", line 33, in build
    model = resolve(args.model_source())
serve_app.errors.ModelUnusable: no model directory at /models/second
"""
_PASSES_TO_HEAD: Final = 2
_PASSES_TO_RUNNING: Final = 2
_STRATEGIES: Final = ("NewClusterWithIncrementalUpgrade", "NewCluster", "None")


@dataclass
class RayCluster:
    """A cluster that the operator has made."""

    name: str
    config: Document
    passes: int = 0
    submitted: str = ""
    submitted_at: float = 0.0
    since_submission: int = 0

    @property
    def image(self) -> str:
        head = self.config["headGroupSpec"]["template"]["spec"]["containers"][0]
        return str(head["image"])

    @property
    def head_ready(self) -> bool:
        return self.passes > _PASSES_TO_HEAD and not self.image.startswith(MISSING_IMAGE)

    def applications(self) -> dict[str, Document]:
        """Return the statuses as Serve tells them."""
        statuses = {}
        for application in (yaml.safe_load(self.submitted) or {}).get("applications", []):
            status, deployment, message = "DEPLOYING", "UPDATING", ""
            if application["import_path"] == BROKEN_IMPORT:
                status, message = "DEPLOY_FAILED", TRACEBACK
            elif self.since_submission > _PASSES_TO_RUNNING:
                status, deployment = "RUNNING", "HEALTHY"
            deployments = {} if message else {"Gateway": {"status": deployment}}
            statuses[application["name"]] = {
                "status": status,
                "message": message,
                "serveDeploymentStatuses": deployments,
            }
        return statuses

    def pods(self) -> list[Document]:
        name = f"{self.name}-head-abcde"
        state: Document = {"running": {}}
        if self.image.startswith(MISSING_IMAGE):
            message = f'Back-off pulling image "{self.image}": not found'
            state = {"waiting": {"reason": "ImagePullBackOff", "message": message}}
        return [
            {
                "metadata": {"name": name, "labels": {"ray.io/cluster": self.name}},
                "status": {"containerStatuses": [{"name": "ray-head", "state": state}]},
            }
        ]


@dataclass
class Operator:
    """The controller of one RayService."""

    clusters: dict[str, RayCluster] = field(default_factory=dict)
    events: dict[str, Document] = field(default_factory=dict)
    service_points_to: str = ""
    _made: int = 0
    _clock: float = 1_000.0

    def reconcile(self, service: Document) -> Document | None:
        """Return the status of one pass, or None where nothing is written."""
        status = copy.deepcopy(service.get("status", {}))
        strategy = service["spec"].get("upgradeStrategy", {}).get("type", "NewCluster")
        if strategy not in _STRATEGIES:
            message = (
                f"The RayService spec is invalid: Spec.UpgradeStrategy.Type value {strategy} is "
                f"invalid, valid options are {', '.join(_STRATEGIES[:2])}, or {_STRATEGIES[2]}"
            )
            _condition(status, "Ready", "False", "ValidationFailed", message)
            return None if status == service.get("status", {}) else status
        self._pass()
        active_status = status.setdefault("activeServiceStatus", {})
        pending_status = status.setdefault("pendingServiceStatus", {})
        active = self.clusters.get(active_status.get("rayClusterName", ""))
        pending = self._pending(service, pending_status.get("rayClusterName", ""))
        ready, applications = False, dict[str, Document]()
        changed = active is not None and _hash(active.config) != _hash(_cluster(service))
        serving = pending or (None if changed and strategy != "None" else active)
        if serving is not None:
            served = self._serve(service, serving)
            if served is None:
                return None
            ready, applications = served
        if ready and serving is not None:
            self.service_points_to = serving.name
        # From here on as calculateStatus.
        status["observedGeneration"] = service["metadata"]["generation"]
        active_status["applicationStatuses"] = applications if serving is active else {}
        pending_status["applicationStatuses"] = applications if serving is pending else {}
        promoted = pending is not None and self.service_points_to == pending.name
        if promoted:
            status["activeServiceStatus"], status["pendingServiceStatus"] = pending_status, {}
        newest = pending or active
        new_needed = newest is None or _hash(newest.config) != _hash(_cluster(service))
        if not promoted and new_needed and (newest is None or strategy != "None"):
            status["pendingServiceStatus"] = {"rayClusterName": self._name(service)}
        status["numServeEndpoints"] = 2 if self.service_points_to and not promoted else 0
        _conditions(status)
        return None if status == service.get("status", {}) else status

    def deployed_at(self) -> float:
        """Return when the cluster that serves was last given a configuration."""
        return self.clusters[self.service_points_to].submitted_at

    def pods(self) -> list[Document]:
        return [pod for cluster in self.clusters.values() for pod in cluster.pods()]

    def _pass(self) -> None:
        self._clock += 2
        for cluster in self.clusters.values():
            cluster.passes += 1
            cluster.since_submission += 1

    def _pending(self, service: Document, name: str) -> RayCluster | None:
        if name and name not in self.clusters:
            self.clusters[name] = RayCluster(name, copy.deepcopy(_cluster(service)))
        return self.clusters.get(name)

    def _serve(
        self, service: Document, cluster: RayCluster
    ) -> tuple[bool, dict[str, Document]] | None:
        """Return what `reconcileServe` does; None where it ends the pass with an error."""
        if not cluster.head_ready:
            return False, {}
        applications = cluster.applications()
        config = service["spec"]["serveConfigV2"]
        if cluster.submitted != config:
            if REFUSED_BY_SERVE in config:
                self._warn(service, "fail to create / update Serve applications: 400 Bad Request")
                return None
            cluster.submitted, cluster.since_submission = config, 0
            cluster.submitted_at = self._clock
        running = [application["status"] == "RUNNING" for application in applications.values()]
        return bool(running) and all(running), applications

    def _warn(self, service: Document, message: str) -> None:
        count = self.events.get(message, {}).get("count", 0) + 1
        self.events[message] = {
            "metadata": {"name": "warning", "resourceVersion": str(count)},
            "involvedObject": {"kind": "RayService", "name": service["metadata"]["name"]},
            "type": "Warning",
            "reason": "FailedToUpdateServeApplications",
            "message": message,
            "count": count,
        }

    def _name(self, service: Document) -> str:
        self._made += 1
        return f"{service['metadata']['name']}-{self._made}"


def _cluster(service: Document) -> Document:
    return dict(service["spec"]["rayClusterConfig"])


def _hash(config: Document) -> str:
    muted = ("replicas", "minReplicas", "maxReplicas")
    groups = [
        {name: value for name, value in group.items() if name not in muted}
        for group in config.get("workerGroupSpecs", [])
    ]
    return json.dumps(config | {"workerGroupSpecs": groups}, sort_keys=True)


def _conditions(status: Document) -> None:
    """Do what `calculateConditions` does."""
    if not status.get("conditions"):
        for name in ("Ready", "UpgradeInProgress"):
            _condition(status, name, "False", "Initializing", "RayService is initializing")
    ready = next(found for found in status["conditions"] if found["type"] == "Ready")
    if status["numServeEndpoints"]:
        text = "Number of serve endpoints is greater than 0"
        _condition(status, "Ready", "True", "NonZeroServeEndpoints", text)
    elif ready["status"] == "True":
        text = "Number of serve endpoints dropped to 0"
        _condition(status, "Ready", "False", "ZeroServeEndpoints", text)
    active = status["activeServiceStatus"].get("rayClusterName")
    pending = status["pendingServiceStatus"].get("rayClusterName")
    if active and pending:
        text = "Both active and pending Ray clusters exist"
        _condition(status, "UpgradeInProgress", "True", "BothActivePendingClustersExist", text)
    elif active:
        text = "Active Ray cluster exists and no pending Ray cluster"
        _condition(status, "UpgradeInProgress", "False", "NoPendingCluster", text)


def _condition(status: Document, name: str, value: str, reason: str, message: str) -> None:
    conditions = status.setdefault("conditions", [])
    conditions[:] = [condition for condition in conditions if condition["type"] != name]
    conditions.append(
        {
            "type": name,
            "status": value,
            "reason": reason,
            "message": message,
            "lastTransitionTime": "2026-11-23T00:00:00Z",
        }
    )
    conditions.sort(key=lambda condition: str(condition["type"]))
