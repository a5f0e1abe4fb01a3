"""Typed settings with their defaults: the identity of the application, every limit and tunable.

A configuration file overrides the defaults below. Secrets come only from the environment.
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
    """Cost of a forward pass of the simulated engine.

    Attributes:
        batch_ms: Milliseconds for a pass of any size.
        token_us: Microseconds for each token of its texts; padding costs nothing.
    """

    batch_ms: Annotated[float, Field(ge=0, le=60_000)] = 5.0
    token_us: Annotated[float, Field(ge=0, le=1_000_000)] = 100.0


DEFAULT_COST: Final = SimulatedCost()


class AppArgs(Settings):
    """Identity of the application; changing it restarts the replicas.

    Attributes:
        model: `embedded`, a directory in Hugging Face form, `hub-id@revision`, or `env:NAME`
            to read one of these from the environment.
        engine: `auto` takes the int8 engine if it agrees with torch, else fp32. `simulated`
            computes nothing: for tests of scaling.
        cache: `memory://`, `redis://…`, `rediss://…`, or `env:NAME` to read the URL from the
            environment. A URL with a password must come from there.
        production: Refuses a hub model without a revision, and the simulated engine.
        simulated: Cost of the simulated engine.
    """

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

        Raises:
            InvalidConfig: The variable is not set, or production has no pinned revision.
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

        Raises:
            InvalidConfig: The variable is not set or holds no cache URL.
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

    Raises:
        ValueError: Another form. The message does not repeat the URL, which may hold a password.
    """
    if url == "memory://":
        return
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in {"redis", "rediss"} and parts.hostname and parts.port != 0:
            return
    raise ValueError("a cache URL is memory://, redis://host:port/db or rediss://host:port/db")


class GatewaySettings(Settings):
    """Tunables of the gateway; changing them restarts nothing.

    Attributes:
        max_body_bytes: Larger request bodies get 413.
        max_pending_bytes: Requests get 429 while the bodies of open requests hold more bytes than
            this, without the first 16 KiB of each. Their texts may take four times the memory.
        max_texts: Requests with more texts get 422.
        max_chars: Requests with a longer text get 422. Far above the model's limit, beyond which
            a text is truncated.
        deadline_s: Requests get 504 after this time, or after a shorter `X-Deadline-Ms`.
        max_pending_texts: Requests get 429 while more texts than this, or as many requests, wait
            for the model.
        max_wait_s: Requests get 429 while the estimated queue time exceeds this. A large request
            may wait twice as long, so use at most half of `deadline_s`.
        chunk_texts: Maximum number of texts in a call to a classifier replica.
        chunk_chars: Maximum number of characters in a call; a longer text has its own call.
        calls_per_replica: A text is sent at once while fewer calls per replica are open; else
            texts wait for a call to return, and share the next one.
        call_wait_s: Maximum time of such a wait.
        max_calls_per_replica: Texts stay in the gateway, where new replicas can take them, while
            as many calls per replica are open. Enough for a full batch and the next one.
        cache_ttl_s: Lifetime of a cached score.
        cache_ttl_jitter: Fraction by which lifetimes vary, so that texts cached together do not
            expire together.
        cache_memory_entries: Maximum number of texts in a replica's memory tier.
        cache_timeout_s: A slower cache is treated as absent.
        request_log: Whether every request for predictions is logged in one line.
        api_keys: SHA-256 of the accepted API keys, as `sentiment key` prints them. Requests need
            no key if the list is empty.
        cors_origins: Origins of web pages whose browsers may ask, `https://host[:port]` or `*`.
    """

    max_body_bytes: Positive = 2 * 1024 * 1024
    max_pending_bytes: Positive = 128 * 1024 * 1024
    max_texts: Positive = 256
    max_chars: Positive = 32_768
    deadline_s: PositiveSeconds = 30.0
    max_pending_texts: Positive = 2048
    max_wait_s: PositiveSeconds = 5.0
    chunk_texts: Positive = 16
    chunk_chars: Positive = 4096
    calls_per_replica: Positive = 1
    call_wait_s: Annotated[float, Field(ge=0, le=1)] = 0.05
    max_calls_per_replica: Positive = 8
    cache_ttl_s: PositiveSeconds = 3600.0
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
    """Tunables of the classifier; changing them restarts nothing.

    Attributes:
        max_batch_requests: Maximum number of calls that `@serve.batch` joins.
        batch_wait_s: Time for which `@serve.batch` holds back the first call. Zero keeps the
            engine busy: calls that arrive during a forward pass form the next batch.
        max_batch_tokens: Maximum number of tokens, padding included, in a forward pass; a longer
            text has its own.
        hang_timeout_s: A longer forward pass marks the replica unhealthy.
    """

    max_batch_requests: Positive = 64
    batch_wait_s: Annotated[float, Field(ge=0, le=1)] = 0.0
    max_batch_tokens: Positive = 512
    hang_timeout_s: PositiveSeconds = 30.0


class ScalingSettings(Settings):
    """Tunables of the scaling policy for one deployment; changing them restarts replicas.

    Attributes:
        target_wait_s: Replicas are added while the queue takes longer than this to clear.
        target_utilization: Replicas are added while arriving work uses more of their rate.
        release_utilization: Replicas are released if the others would be used less than this.
        max_surge: Maximum fraction by which a queue raises the replicas for arriving work.
        stale_s: Older reports are ignored.
    """

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
