"""Typed settings with their defaults: the identity of the application, every limit and tunable.

A configuration file overrides the defaults below; docs/configuration.md and docs/scaling.md say
what each means, and units are in the names. Secrets come only from the environment.
"""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from serve_app import api_keys
from serve_app.errors import InvalidConfig
from serve_app.telemetry.logs import LogForm

OnnxName = Literal["onnx-int8", "onnx-fp32"]
EngineName = Literal[OnnxName, "torch", "simulated"]
EngineChoice = Literal[EngineName, "auto"]

PINNED: Final = re.compile(r"[^@]+@[0-9a-f]{40}")


def _hash(value: str) -> str:
    if not api_keys.HASH.fullmatch(value):
        raise ValueError("not the hash of an API key: `sentiment key` prints a key and its hash")
    return value


def _origin(value: str) -> str:
    # The form that browsers send: https://fetch.spec.whatwg.org/#origin-header
    if value != "*" and not re.fullmatch(r"https?://[^/?#@*\s]+", value):
        raise ValueError("an origin is https://host, http://host:port, or *")
    return value


Positive = Annotated[int, Field(gt=0)]
PositiveSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
ApiKeyHash = Annotated[str, AfterValidator(_hash)]
Origin = Annotated[str, AfterValidator(_origin)]


class Settings(BaseModel):
    """Base of all settings: unknown keys are refused, values never change in place."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SimulatedCost(Settings):
    """Cost of a forward pass of the simulated engine, of any size and for each token in it."""

    batch_ms: Annotated[float, Field(ge=0, le=60_000)] = 5.0
    token_us: Annotated[float, Field(ge=0, le=1_000_000)] = 100.0


DEFAULT_COST: Final = SimulatedCost()


class AppArgs(Settings):
    """Identity of the application; changing it restarts the replicas."""

    model: Annotated[str, Field(min_length=1)] = "embedded"
    engine: EngineChoice = "auto"
    cache: str = "memory://"
    production: bool = False
    simulated: SimulatedCost = DEFAULT_COST

    @field_validator("model", "cache")
    @classmethod
    def _variable_has_a_name(cls, value: str) -> str:
        if value.startswith("env:") and not value.removeprefix("env:").isidentifier():
            raise ValueError("env: must be followed by the name of an environment variable")
        return value

    @field_validator("cache")
    @classmethod
    def _cache_is_known_and_has_no_password(cls, value: str) -> str:
        if value.startswith("env:"):
            return value
        check_cache_url(value)
        if urlsplit(value).password or urlsplit(value).query:
            raise ValueError(
                "a password or option does not belong in a configuration file: "
                "put the URL into an environment variable and write env:NAME"
            )
        return value

    @model_validator(mode="after")
    def _production_computes(self) -> Self:
        if self.production and self.engine == "simulated":
            raise ValueError("production needs an engine that computes, not the simulated one")
        return self

    @property
    def log_form(self) -> LogForm:
        """Form of the service's logs: for programs in production, else for a person."""
        return "json" if self.production else "text"

    def model_source(self) -> str:
        """Return the model's source, read from the environment for `env:NAME`.

        Raises `InvalidConfig` if the variable is not set, or production has no pinned revision.
        """
        source = _from_environment(self.model, "embedded")
        is_local = source == "embedded" or is_directory(source)
        if self.production and not is_local and not PINNED.fullmatch(source):
            raise InvalidConfig(
                f"production needs a pinned revision of {source}: a hub name, a branch or a tag "
                "can come to mean another model",
                f"write {source.partition('@')[0]}@<commit of 40 hexadecimal digits>",
            )
        return source

    def cache_url(self) -> str:
        """Return the cache URL, read from the environment for `env:NAME`.

        Raises `InvalidConfig` if the variable is not set or holds no cache URL.
        """
        url = _from_environment(self.cache, "rediss://user:password@host:10000/0")
        try:
            check_cache_url(url)
        except ValueError as error:
            raise InvalidConfig(
                f"{self.cache}: {error}", "correct the variable and start again"
            ) from None
        return url


def _from_environment(value: str, example: str) -> str:
    if not value.startswith("env:"):
        return value
    name = value.removeprefix("env:")
    found = os.environ.get(name)
    if not found:
        raise InvalidConfig(
            f"the configuration reads ${name}, which is not set", f"export {name}={example}"
        )
    return found


def is_directory(source: str) -> bool:
    """Tell whether a model's source names a directory; other names are those of a hub."""
    return source.startswith((".", "/", "~")) or Path(source).is_dir()


def check_cache_url(url: str) -> None:
    """Accept `memory://`, `redis://host…` and `rediss://host…`.

    Raises `ValueError` for others, without repeating the URL, which may hold a password.
    """
    if url == "memory://":
        return
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in {"redis", "rediss"} and parts.hostname and parts.port != 0:
            return
    raise ValueError("a cache URL is memory://, redis://host:port/db or rediss://host:port/db")


class GatewaySettings(Settings):
    """Tunables of the gateway; changing them restarts nothing."""

    max_body_bytes: Positive = 2 * 1024 * 1024
    # Their texts may take four times the memory.
    max_pending_bytes: Positive = 128 * 1024 * 1024
    max_texts: Positive = 256
    # Far above the model's limit, beyond which a text is truncated.
    max_chars: Positive = 32_768
    deadline_s: PositiveSeconds = 30.0
    max_pending_texts: Positive = 2048
    max_wait_s: PositiveSeconds = 5.0
    chunk_texts: Positive = 16
    chunk_chars: Positive = 4096
    calls_per_replica: Positive = 1
    call_wait_s: Annotated[float, Field(ge=0, le=1)] = 0.05
    # Enough for a full batch and the next one.
    max_calls_per_replica: Positive = 8
    cache_ttl_s: PositiveSeconds = 3600.0
    # So that texts cached together do not expire together.
    cache_ttl_jitter: Annotated[float, Field(ge=0, lt=1)] = 0.1
    cache_memory_entries: Positive = 100_000
    cache_timeout_s: PositiveSeconds = 0.05
    request_log: bool = True
    api_keys: tuple[ApiKeyHash, ...] = ()
    cors_origins: tuple[Origin, ...] = ()

    @model_validator(mode="after")
    def _limits_agree(self) -> Self:
        if self.max_texts > self.max_pending_texts:
            raise ValueError("max_pending_texts must be at least max_texts")
        if self.max_body_bytes > self.max_pending_bytes:
            raise ValueError("max_pending_bytes must be at least max_body_bytes")
        if self.calls_per_replica > self.max_calls_per_replica:
            raise ValueError("max_calls_per_replica must be at least calls_per_replica")
        return self


class ClassifierSettings(Settings):
    """Tunables of the classifier; changing them restarts nothing."""

    max_batch_requests: Positive = 64
    # Zero keeps the engine busy: calls that arrive during a forward pass form the next batch.
    batch_wait_s: Annotated[float, Field(ge=0, le=1)] = 0.0
    max_batch_tokens: Positive = 512
    hang_timeout_s: PositiveSeconds = 30.0


class ScalingSettings(Settings):
    """Tunables of the scaling policy for one deployment; changing them restarts replicas."""

    target_wait_s: PositiveSeconds = 2.0
    target_utilization: Annotated[float, Field(gt=0, le=1)] = 0.75
    release_utilization: Annotated[float, Field(gt=0, le=1)] = 0.6
    max_surge: Annotated[float, Field(ge=0, le=10)] = 0.25
    stale_s: PositiveSeconds = 10.0

    @model_validator(mode="after")
    def _thresholds_leave_room(self) -> Self:
        if self.release_utilization >= self.target_utilization:
            raise ValueError("release_utilization must be below target_utilization")
        return self


class WorkPolicySettings(Settings):
    """Tunables of the scaling policy, `policy_kwargs` in a file."""

    gateway: ScalingSettings = ScalingSettings()
    classifier: ScalingSettings = ScalingSettings()
