"""Configuration files: a Ray Serve config whose every key is known and every value possible."""

from pathlib import Path
from typing import Any, Final, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import (
    DeploymentSchema,
    HTTPOptionsSchema,
    LoggingConfig,
    RayActorOptionsSchema,
)

from serve_app.classifier.deployment import CONCURRENT_BATCHES
from serve_app.errors import InvalidConfig
from serve_app.settings import AppArgs, ClassifierSettings, GatewaySettings, Settings

_STRICT: Final = ConfigDict(extra="forbid")


class StrictAutoscaling(AutoscalingConfig):
    """Ray's autoscaling settings, unknown keys refused."""

    model_config = _STRICT


class StrictActorOptions(RayActorOptionsSchema):
    """Ray's actor settings, unknown keys refused."""

    model_config = _STRICT


class StrictHttpOptions(HTTPOptionsSchema):
    """Ray's HTTP settings, unknown keys refused."""

    model_config = _STRICT


class _Deployment(DeploymentSchema):
    model_config = _STRICT

    # Ray's default of 5 starves batching, so it has to be stated.
    max_ongoing_requests: int = Field(gt=0)
    autoscaling_config: StrictAutoscaling
    ray_actor_options: StrictActorOptions


class GatewayDeployment(_Deployment):
    """Resources, scaling and tunables of the gateway."""

    name: Literal["Gateway"]
    user_config: GatewaySettings  # type: ignore[assignment]


class ClassifierDeployment(_Deployment):
    """Resources, scaling and tunables of the classifier."""

    name: Literal["Classifier"]
    user_config: ClassifierSettings  # type: ignore[assignment]

    @model_validator(mode="after")
    def _calls_fit_the_replica(self) -> Self:
        joined = self.user_config.max_batch_requests * CONCURRENT_BATCHES
        if joined > self.max_ongoing_requests:
            raise ValueError(
                f"max_ongoing_requests must be at least {joined}: "
                f"max_batch_requests x {CONCURRENT_BATCHES} concurrent batches"
            )
        return self


class SentimentApplication(BaseModel):
    """The sentiment service within a Serve config."""

    model_config = _STRICT

    name: str
    route_prefix: Literal["/"]
    import_path: Literal["serve_app.app:build"]
    args: AppArgs
    deployments: tuple[GatewayDeployment, ClassifierDeployment]


class ServeConfig(Settings):
    """A configuration file.

    Attributes:
        environment: Variables that Ray reads when its processes start. Ray ignores this key:
            `sentiment serve` sets them, and on Kubernetes they are container variables.
        proxy_location: Which nodes take HTTP.
        http_options: Where they listen.
        logging_config: How the applications log.
        applications: What is served.
    """

    environment: dict[str, str] = Field(default_factory=dict)
    proxy_location: Literal["EveryNode", "HeadOnly"]
    http_options: StrictHttpOptions
    logging_config: LoggingConfig
    applications: tuple[SentimentApplication]


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
        raise InvalidConfig(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidConfig(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise InvalidConfig(f"{path} is no mapping of keys to values")
    return content


def _place(detail: Any) -> str:
    path = ".".join(map(str, detail["loc"])) or "the file"
    return f"{path}: {detail['msg'].removeprefix('Value error, ')}"
