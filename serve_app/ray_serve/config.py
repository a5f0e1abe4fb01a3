"""Configuration files: every key known, every value possible, or a reason that names the place."""

from pathlib import Path
from typing import Any, Final, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import (
    DeploymentSchema,
    LoggingConfig,
    RayActorOptionsSchema,
)

from serve_app.errors import InvalidConfig
from serve_app.settings import (
    AppArgs,
    ClassifierSettings,
    GatewaySettings,
    Settings,
    WorkPolicySettings,
)

_STRICT: Final = ConfigDict(extra="forbid")
# Calls to the classifier that a gateway makes on its own account: its probe of the model.
GATEWAY_PROBES: Final = 1


class WorkPolicySchema(Settings):
    """The policy that follows the work; without it, Ray's own counts ongoing calls.

    Attributes:
        policy_function: Where it is.
        policy_kwargs: Its tunables.
    """

    policy_function: Literal["serve_app.ray_serve.autoscaling:WorkPolicy"]
    policy_kwargs: WorkPolicySettings = WorkPolicySettings()


class StrictAutoscaling(AutoscalingConfig):
    """Ray's autoscaling settings, unknown keys refused."""

    model_config = _STRICT

    # A policy sees the reports of all deployments only where it belongs to the application.
    policy: None = None  # type: ignore[assignment]


class StrictActorOptions(RayActorOptionsSchema):
    """Ray's actor settings, unknown keys refused."""

    model_config = _STRICT


class StrictHttpOptions(Settings):
    """Those of Ray's HTTP settings that the contract leaves open.

    Its timeout is not among them: it would answer in plain text, before `deadline_s`.
    """

    host: str
    port: int = Field(gt=0, lt=65536)
    keep_alive_timeout_s: int = Field(default=90, gt=0)


class _Deployment(DeploymentSchema):
    model_config = _STRICT

    # Ray's default of 5 starves batching, so it has to be stated.
    max_ongoing_requests: int = Field(gt=0)
    graceful_shutdown_timeout_s: float = Field(ge=0)
    autoscaling_config: StrictAutoscaling
    ray_actor_options: StrictActorOptions

    @model_validator(mode="after")
    def _autoscaling_can_work(self) -> Self:
        if self.autoscaling_config.get_target_ongoing_requests() > self.max_ongoing_requests:
            raise ValueError("target_ongoing_requests must be at most max_ongoing_requests")
        scaling = self.autoscaling_config
        if scaling.look_back_period_s < 3 * scaling.metrics_interval_s:
            raise ValueError(
                f"look_back_period_s is {scaling.look_back_period_s:g}, less than three times "
                f"metrics_interval_s of {scaling.metrics_interval_s:g}: no rate could be told"
            )
        if self.autoscaling_config.min_replicas < 1:
            raise ValueError("min_replicas must be at least 1: a cold start outlasts any deadline")
        return self


class GatewayDeployment(_Deployment):
    """Resources, scaling and tunables of the gateway."""

    name: Literal["Gateway"]
    user_config: GatewaySettings  # type: ignore[assignment]
    max_queued_requests: int = Field(gt=0)

    @model_validator(mode="after")
    def _the_gateway_refuses_before_ray_does(self) -> Self:
        """Refuse a gateway whose requests wait in Ray's queue before its own limits are reached.

        There nobody looks at their deadlines.
        """
        if self.max_ongoing_requests <= self.user_config.max_pending_texts:
            raise ValueError(
                f"max_ongoing_requests is {self.max_ongoing_requests}, not above "
                f"max_pending_texts of {self.user_config.max_pending_texts}"
            )
        return self


class ClassifierDeployment(_Deployment):
    """Resources, scaling and tunables of the classifier."""

    name: Literal["Classifier"]
    user_config: ClassifierSettings  # type: ignore[assignment]
    max_queued_requests: int = Field(ge=-1)

    @model_validator(mode="after")
    def _batches_fit_the_replica(self) -> Self:
        if self.user_config.max_batch_requests > self.max_ongoing_requests:
            raise ValueError("max_ongoing_requests must be at least max_batch_requests")
        return self


class SentimentApplication(BaseModel):
    """The sentiment service within a Serve config."""

    model_config = _STRICT

    name: Literal["sentiment"]
    route_prefix: Literal["/"]
    import_path: Literal["serve_app.app:build"]
    args: AppArgs
    autoscaling_policy: WorkPolicySchema | None = None
    deployments: tuple[GatewayDeployment, ClassifierDeployment]

    @model_validator(mode="after")
    def _a_full_gateway_fits_the_queue(self) -> Self:
        """Refuse a queue that overflows before the gateway refuses requests.

        Ray bounds the calls that wait for a replica within each caller, so that the number of
        gateways has no part in this. A call carries one text or more.
        """
        gateway, classifier = self.deployments
        calls = gateway.user_config.max_pending_texts + GATEWAY_PROBES
        room = classifier.max_queued_requests
        if 0 <= room < calls:
            raise ValueError(
                f"max_queued_requests of Classifier is {room}, but a full Gateway makes {calls} "
                f"calls (max_pending_texts {calls - GATEWAY_PROBES} of one text each, and "
                f"{GATEWAY_PROBES} probe)"
            )
        return self

    @model_validator(mode="after")
    def _reports_suffice_for_the_policy(self) -> Self:
        """Refuse intervals at which reports are stale before the next one, or tell no rate."""
        if self.autoscaling_policy is None:
            return self
        policy = self.autoscaling_policy.policy_kwargs
        for deployment, stale_s in zip(
            self.deployments, (policy.gateway.stale_s, policy.classifier.stale_s), strict=True
        ):
            interval_s = deployment.autoscaling_config.metrics_interval_s
            if stale_s <= 2 * interval_s:
                raise ValueError(
                    f"stale_s of {deployment.name} is {stale_s:g}, at most twice its "
                    f"metrics_interval_s of {interval_s:g}: one late report would count as none"
                )
        gateway, classifier = (each.autoscaling_config for each in self.deployments)
        demand_s = min(gateway.look_back_period_s, classifier.look_back_period_s)
        if demand_s < 3 * gateway.metrics_interval_s:
            raise ValueError(
                f"look_back_period_s of Classifier is {demand_s:g}, less than three times "
                f"metrics_interval_s of Gateway, {gateway.metrics_interval_s:g}: "
                "no rate of arrivals could be told"
            )
        return self

    @model_validator(mode="after")
    def _requests_survive_a_scale_down(self) -> Self:
        """Refuse a production gateway that is stopped before its requests' deadlines."""
        gateway = self.deployments[0]
        grace, deadline = gateway.graceful_shutdown_timeout_s, gateway.user_config.deadline_s
        if self.args.production and grace < deadline:
            raise ValueError(
                f"graceful_shutdown_timeout_s of Gateway is {grace:g}, below its deadline_s of "
                f"{deadline:g}: a replica that is released would lose requests"
            )
        return self


class LabActorOptions(StrictActorOptions):
    """Resources of the lab: a page's few requests must not take the place of a replica."""

    num_cpus: float = Field(ge=0, le=0.1)


class LabDeployment(DeploymentSchema):
    """Resources of the lab."""

    model_config = _STRICT

    name: Literal["Lab"]
    graceful_shutdown_timeout_s: float = Field(ge=0)
    ray_actor_options: LabActorOptions


class LabApplication(BaseModel):
    """The lab within a Serve config; it may be left out."""

    model_config = _STRICT

    name: Literal["lab"]
    route_prefix: Literal["/lab"]
    import_path: Literal["serve_app.ray_serve.lab:lab"]
    deployments: tuple[LabDeployment]


class ServeConfig(Settings):
    """A configuration file.

    Attributes:
        environment: Variables that Ray, or its allocator, reads when its processes start. Ray
            ignores this key: `sentiment serve` sets them, on Kubernetes the containers have them.
        proxy_location: Which nodes take HTTP.
        http_options: Where they listen.
        metrics_port: Where `sentiment serve` exports metrics on this machine; 0 takes a free
            port. Ray ignores this key: on Kubernetes `ray start` is told.
        logging_config: How the applications log.
        applications: What is served: the sentiment service, and the lab or None.
    """

    environment: dict[str, str] = Field(default_factory=dict)
    proxy_location: Literal["EveryNode", "HeadOnly"]
    http_options: StrictHttpOptions
    metrics_port: int = Field(default=0, ge=0, lt=65536)
    logging_config: LoggingConfig
    applications: tuple[SentimentApplication, LabApplication | None]

    @field_validator("environment")
    @classmethod
    def _settings_of_processes_alone(cls, value: dict[str, str]) -> dict[str, str]:
        if foreign := [name for name in value if not name.startswith(("RAY_", "MALLOC_"))]:
            raise ValueError(f"only RAY_* and MALLOC_* belong in a file, not {', '.join(foreign)}")
        if value.get("RAY_SERVE_THROUGHPUT_OPTIMIZED") == "1" and not (
            value.get("RAY_SERVE_ENABLE_HA_PROXY") == "1"
            or value.get("RAY_SERVE_ENABLE_DIRECT_INGRESS") == "0"
        ):
            raise ValueError(
                "RAY_SERVE_THROUGHPUT_OPTIMIZED needs RAY_SERVE_ENABLE_HA_PROXY: "
                "without it, only the head node takes requests"
            )
        return value

    @field_validator("applications", mode="before")
    @classmethod
    def _the_lab_may_be_left_out(cls, value: Any) -> Any:
        return [*value, None] if isinstance(value, list) and len(value) == 1 else value


_START_FROM: Final = "start from a copy of configs/dev.yaml"


def load(path: Path) -> ServeConfig:
    """Read a configuration file.

    Raises:
        InvalidConfig: It is not there, no YAML, or breaks the schema; names each key's path.
    """
    try:
        return ServeConfig.model_validate(read(path))
    except ValidationError as error:
        places = "; ".join(_place(detail) for detail in error.errors())
        raise InvalidConfig(f"{path}: {places}", "correct the file and start again") from None


def read(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Raises:
        InvalidConfig: It is not there or of another form.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InvalidConfig(f"cannot read {path}: {error.strerror}", _START_FROM) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InvalidConfig(f"{path} is no YAML: {reason}", _START_FROM) from None
    if not isinstance(content, dict):
        raise InvalidConfig(f"{path} is no mapping of keys to values", _START_FROM)
    return content


def _place(detail: Any) -> str:
    path = ".".join(map(str, detail["loc"])) or "the file"
    return f"{path}: {detail['msg'].removeprefix('Value error, ')}"
