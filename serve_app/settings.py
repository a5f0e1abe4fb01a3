"""Typed settings with their defaults: one place for every limit and tunable.

Precedence: configuration file > the defaults below. Secrets come from the environment alone.
"""

import re
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from serve_app import api_keys

OnnxName = Literal["onnx-int8", "onnx-fp32"]
EngineName = Literal[OnnxName, "torch", "simulated"]
EngineChoice = Literal[EngineName, "auto"]

Positive = Annotated[int, Field(gt=0)]
PositiveSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _hash(value: str) -> str:
    if not api_keys.HASH.fullmatch(value):
        raise ValueError("this is no hash of an API key: `sentiment key` prints a key and its hash")
    return value


def _origin(value: str) -> str:
    # What browsers send: https://fetch.spec.whatwg.org/#origin-header
    if value != "*" and not re.fullmatch(r"https?://[^/?#@*\s]+", value):
        raise ValueError("an origin is https://host, http://host:port, or *")
    return value


ApiKeyHash = Annotated[str, AfterValidator(_hash)]
Origin = Annotated[str, AfterValidator(_origin)]


class Settings(BaseModel):
    """Base of all settings: unknown keys are refused, values never change in place."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class GatewaySettings(Settings):
    """Tunables of the gateway; changing them restarts nothing.

    Attributes:
        max_body_bytes: Larger request bodies are refused with 413.
        max_pending_bytes: While the bodies of the requests under way have more bytes than this,
            but for the first 16 KiB of each, requests with larger ones are refused with 429. Their
            texts may take four times as much memory.
        max_texts: More texts in one request are refused with 422.
        max_chars: A longer text is refused with 422. Characters, not tokens: far above what
            the model reads, so that texts are truncated long before they are refused.
        deadline_s: A request is answered within this time, if need be with 504; a client may ask
            for less with `X-Deadline-Ms`.
        max_pending_texts: While more texts than this, or as many requests, wait for the model,
            requests are refused with 429.
        max_wait_s: So they are while what waits, at the rate measured, takes longer than this,
            after which an overloaded service has recovered. A large request may wait twice as
            long, so that more than half of `deadline_s` makes no sense.
        chunk_texts: One call to a classifier replica carries at most this many texts.
        chunk_chars: So many characters fill a call as well; a longer text travels alone.
        calls_per_replica: While fewer calls per replica are under way, a text leaves at once.
            Else texts wait for a call to return, and share the next one.
        call_wait_s: The longest such wait.
        max_calls_per_replica: While so many calls per replica are under way, texts stay in the
            gateway, where replicas that are started meanwhile find them. Enough for a full batch
            and the next one.
        cache_ttl_s: How long a cached score lives.
        cache_ttl_jitter: Lifetimes vary by this fraction, so that texts cached together do
            not expire together.
        cache_memory_entries: Most texts held in a replica's memory tier.
        cache_timeout_s: A cache that answers slower than this is treated as absent.
        request_log: Whether every request for predictions is logged in one line.
        api_keys: SHA-256 of the API keys that are accepted, as `sentiment key` prints them.
            Requests need none where there is none.
        cors_origins: Origins of web pages that browsers let ask, `https://host[:port]` or `*`.
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
    def _one_request_fits_the_queue(self) -> Self:
        if self.max_texts > self.max_pending_texts:
            raise ValueError("max_pending_texts must be at least max_texts")
        return self

    @model_validator(mode="after")
    def _one_body_fits_the_budget(self) -> Self:
        if self.max_body_bytes > self.max_pending_bytes:
            raise ValueError("max_pending_bytes must be at least max_body_bytes")
        return self

    @model_validator(mode="after")
    def _a_call_may_leave_at_once(self) -> Self:
        if self.calls_per_replica > self.max_calls_per_replica:
            raise ValueError("max_calls_per_replica must be at least calls_per_replica")
        return self


class ClassifierSettings(Settings):
    """Tunables of the classifier; changing them restarts nothing.

    Attributes:
        max_batch_requests: Most calls that `@serve.batch` joins.
        batch_wait_s: How long `@serve.batch` holds the first call back for company. Zero
            keeps the engine busy whenever there is work: calls that arrive while it
            computes form the next batch.
        max_batch_tokens: Most tokens, padding included, in one pass through the model; a single
            longer text still passes alone.
        hang_timeout_s: A pass that takes longer marks the replica unhealthy.
    """

    max_batch_requests: Positive = 64
    batch_wait_s: Annotated[float, Field(ge=0, le=1)] = 0.0
    max_batch_tokens: Positive = 512
    hang_timeout_s: PositiveSeconds = 30.0


class ScalingSettings(Settings):
    """Tunables of the scaling policy for one deployment; changing them restarts replicas.

    Attributes:
        target_wait_s: A queue that takes longer than this to clear asks for more replicas.
        target_utilization: Share of a replica's rate that arriving work may use before another
            one is asked for.
        release_utilization: Replicas are released when the others would be used less than this.
        max_surge: By which fraction a queue may raise what arriving work needs.
        stale_s: An older report counts as none.
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
    """Tunables of the scaling policy, `policy_kwargs` in a file.

    Attributes:
        gateway: For the gateways.
        classifier: For the classifiers.
    """

    gateway: ScalingSettings = ScalingSettings()
    classifier: ScalingSettings = ScalingSettings()


class SimulatedCost(Settings):
    """What a pass through the simulated engine costs.

    Attributes:
        batch_ms: Milliseconds for a pass, whatever its size.
        token_us: Microseconds for each token of its texts; padding costs nothing.
    """

    batch_ms: Annotated[float, Field(ge=0, le=60_000)] = 5.0
    token_us: Annotated[float, Field(ge=0, le=1_000_000)] = 100.0


DEFAULT_COST: Final = SimulatedCost()
