"""The schema of configuration files; an error names the key that is wrong."""

from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import DeploymentSchema, LoggingConfig, RayActorOptionsSchema

from serve_app import settings
from serve_app.errors import InvalidConfig

# A gateway's readiness probe is a call to the classifier too.
GATEWAY_PROBES: Final = 1
_START_FROM: Final = "start from a copy of configs/dev.yaml"


HostName = Annotated[str, Field(pattern=r"^([a-zA-Z0-9.-]+|\[[0-9a-fA-F:.]+\])$")]


class WorkPolicySchema(settings.Settings):
    """The autoscaling policy by work; without it, Ray's own counts ongoing calls."""

    policy_function: Literal["serve_app.ray_serve.autoscaling:WorkPolicy"]
    policy_kwargs: settings.WorkPolicySettings = settings.WorkPolicySettings()


class StrictAutoscaling(AutoscalingConfig, extra="forbid"):
    """Ray's autoscaling settings without unknown keys."""

    # Starting the first replica takes longer than any deadline.
    min_replicas: int = Field(default=1, ge=1)
    # A policy needs the figures of both deployments, so it belongs to the application.
    policy: None = None  # type: ignore[assignment]


class StrictActorOptions(RayActorOptionsSchema, extra="forbid"):
    """Ray's actor settings without unknown keys."""


class StrictHttpOptions(settings.Settings):
    """Ray's HTTP settings, without its timeout, which would answer in plain text."""

    host: str
    port: int = Field(gt=0, lt=65536)
    keep_alive_timeout_s: int = Field(default=90, gt=0)


class _Deployment(DeploymentSchema, extra="forbid"):
    # Required, because Ray's default of 5 starves batching.
    max_ongoing_requests: int = Field(gt=0)
    graceful_shutdown_timeout_s: float = Field(ge=0)
    autoscaling_config: StrictAutoscaling
    ray_actor_options: StrictActorOptions

    @model_validator(mode="after")
    def _autoscaling_can_work(self) -> Self:
        scaling = self.autoscaling_config
        if scaling.get_target_ongoing_requests() > self.max_ongoing_requests:
            raise ValueError("target_ongoing_requests must be at most max_ongoing_requests")
        if scaling.look_back_period_s < 3 * scaling.metrics_interval_s:
            raise ValueError(
                f"look_back_period_s is {scaling.look_back_period_s:g}, less than three times "
                f"metrics_interval_s of {scaling.metrics_interval_s:g}: "
                "too few samples to measure a rate"
            )
        return self


class GatewayDeployment(_Deployment):
    """Resources, scaling and tunables of the gateway."""

    name: Literal["Gateway"]
    user_config: settings.GatewaySettings  # type: ignore[assignment]
    max_queued_requests: int = Field(gt=0)

    @model_validator(mode="after")
    def _the_gateway_refuses_before_ray_does(self) -> Self:
        # In Ray's queue, requests would wait past their deadlines.
        if self.max_ongoing_requests <= self.user_config.max_pending_texts:
            raise ValueError(
                f"max_ongoing_requests is {self.max_ongoing_requests}, not above "
                f"max_pending_texts of {self.user_config.max_pending_texts}"
            )
        return self


class ClassifierDeployment(_Deployment):
    """Resources, scaling and tunables of the classifier."""

    name: Literal["Classifier"]
    user_config: settings.ClassifierSettings  # type: ignore[assignment]
    max_queued_requests: int = Field(ge=-1)

    @model_validator(mode="after")
    def _batches_fit_the_replica(self) -> Self:
        if self.user_config.max_batch_requests > self.max_ongoing_requests:
            raise ValueError("max_ongoing_requests must be at least max_batch_requests")
        return self


class SentimentApplication(settings.Settings):
    """The sentiment service within a Serve config."""

    name: Literal["sentiment"]
    route_prefix: Literal["/"]
    import_path: Literal["serve_app.app:build"]
    args: settings.AppArgs
    autoscaling_policy: WorkPolicySchema | None = None
    deployments: tuple[GatewayDeployment, ClassifierDeployment]

    @model_validator(mode="after")
    def _a_full_gateway_fits_the_queue(self) -> Self:
        # Ray's limit is per caller, so the number of gateways does not matter.
        gateway, classifier = self.deployments
        calls = gateway.user_config.max_pending_texts + GATEWAY_PROBES
        limit = classifier.max_queued_requests
        if 0 <= limit < calls:
            raise ValueError(
                f"max_queued_requests of Classifier is {limit}, but a full Gateway makes {calls} "
                f"calls (max_pending_texts {calls - GATEWAY_PROBES} and {GATEWAY_PROBES} probe)"
            )
        return self

    @model_validator(mode="after")
    def _intervals_suffice_for_the_policy(self) -> Self:
        if self.autoscaling_policy is None:
            return self
        policy = self.autoscaling_policy.policy_kwargs
        limits = (policy.gateway.stale_s, policy.classifier.stale_s)
        for deployment, stale_s in zip(self.deployments, limits, strict=True):
            interval_s = deployment.autoscaling_config.metrics_interval_s
            if stale_s <= 2 * interval_s:
                raise ValueError(
                    f"stale_s of {deployment.name} is {stale_s:g}, at most twice its "
                    f"metrics_interval_s of {interval_s:g}: one late report would count as missing"
                )
        gateway, classifier = (each.autoscaling_config for each in self.deployments)
        if classifier.look_back_period_s < 3 * gateway.metrics_interval_s:
            raise ValueError(
                f"look_back_period_s of Classifier is {classifier.look_back_period_s:g}, less than "
                f"three times metrics_interval_s of Gateway, {gateway.metrics_interval_s:g}: "
                "too few samples to measure the rate of arrivals"
            )
        return self

    @model_validator(mode="after")
    def _requests_survive_a_scale_down(self) -> Self:
        gateway, _ = self.deployments
        grace, deadline = gateway.graceful_shutdown_timeout_s, gateway.user_config.deadline_s
        if self.args.production and grace < deadline:
            raise ValueError(
                f"graceful_shutdown_timeout_s of Gateway is {grace:g}, below its deadline_s of "
                f"{deadline:g}: a replica that stops would lose requests"
            )
        return self


class LabActorOptions(StrictActorOptions):
    """Resources of the lab, too small to take the place of a replica."""

    num_cpus: float = Field(ge=0, le=0.1)


class LabDeployment(DeploymentSchema, extra="forbid"):
    """Resources of the lab."""

    name: Literal["Lab"]
    graceful_shutdown_timeout_s: float = Field(ge=0)
    ray_actor_options: LabActorOptions


class LabApplication(settings.Settings):
    """The lab within a Serve config."""

    name: Literal["lab"]
    route_prefix: Literal["/lab"]
    import_path: Literal["serve_app.ray_serve.lab:lab"]
    deployments: tuple[LabDeployment]


class ServeConfig(settings.Settings):
    """A configuration file; on Kubernetes, Ray reads it and ignores the keys of `sentiment serve`.

    These are `environment`, the variables of Ray's processes; `metrics_port`, for Prometheus, where
    0 takes a free one; and `allowed_hosts`, names without a port by which it is reached on loopback
    beside localhost. Applications are the sentiment service, and the lab or None.
    """

    environment: dict[str, str] = Field(default_factory=dict)
    proxy_location: Literal["EveryNode", "HeadOnly"]
    http_options: StrictHttpOptions
    metrics_port: int = Field(default=0, ge=0, lt=65536)
    allowed_hosts: tuple[HostName, ...] = ()
    logging_config: LoggingConfig
    applications: tuple[SentimentApplication, LabApplication | None]

    @field_validator("environment")
    @classmethod
    def _settings_of_processes_only(cls, value: dict[str, str]) -> dict[str, str]:
        if foreign := [name for name in value if not name.startswith(("RAY_", "MALLOC_"))]:
            raise ValueError(f"only RAY_* and MALLOC_* belong in a file, not {', '.join(foreign)}")
        if (
            value.get("RAY_SERVE_THROUGHPUT_OPTIMIZED") == "1"
            and value.get("RAY_SERVE_ENABLE_HA_PROXY") != "1"
            and value.get("RAY_SERVE_ENABLE_DIRECT_INGRESS") != "0"
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


def load(path: Path) -> ServeConfig:
    """Read a configuration file; the `InvalidConfig` that it raises names each key's path."""
    try:
        return ServeConfig.model_validate(read(path))
    except ValidationError as error:
        places = [
            f"{'.'.join(map(str, each['loc'])) or 'the file'}: "
            f"{each['msg'].removeprefix('Value error, ')}"
            for each in error.errors()
        ]
        raise InvalidConfig(f"{path}: {'; '.join(places)}", "correct the file") from None


def read(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping; raises `InvalidConfig` if it does not."""
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InvalidConfig(f"cannot read {path}: {error.strerror}", _START_FROM) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InvalidConfig(f"{path} is not YAML: {reason}", _START_FROM) from None
    if not isinstance(content, dict):
        raise InvalidConfig(f"{path} does not map keys to values", _START_FROM)
    return content
