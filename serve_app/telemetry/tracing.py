"""OpenTelemetry spans of the service's stages, between those that Ray Serve makes.

Tracing is off by default: nothing of OpenTelemetry is imported then, and a span is one comparison.
"""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from serve_app.console import install
from serve_app.errors import StartupError

HOOK: Final = "RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH"
ENABLED: Final = bool(os.environ.get(HOOK))

if TYPE_CHECKING or ENABLED:
    from opentelemetry import context as otel_context
    from opentelemetry import trace
    from opentelemetry.trace import Link, Span, SpanContext

    TRACER: Final = trace.get_tracer("serve_app")

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_EXPORTER: Final = "opentelemetry-exporter-otlp-proto-http"
_NO_SPAN: Final[AbstractContextManager[Any]] = nullcontext()


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that turn tracing on; none where the environment has no endpoint.

    Raises `StartupError` if an endpoint is set, but the exporter is not installed.
    """
    if not any(environment.get(name) for name in _ENDPOINTS):
        return {}
    try:
        version(_EXPORTER)
    except PackageNotFoundError as error:
        problem = "an OTLP endpoint is set, but the OTLP exporter is not installed"
        hint = f"unset OTEL_EXPORTER_OTLP_ENDPOINT, or {install('tracing')}"
        raise StartupError(problem, hint) from error
    return {
        HOOK: "serve_app.telemetry.tracing:processors",
        "OTEL_SERVICE_NAME": environment.get("OTEL_SERVICE_NAME", "sentiment-serve"),
    }


def processors() -> "list[SpanProcessor]":
    """Return the processors that Ray Serve hands every finished span to."""
    from opentelemetry.exporter.otlp.proto.http import trace_exporter  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    return [BatchSpanProcessor(trace_exporter.OTLPSpanExporter())]


def span(name: str, **attributes: int) -> AbstractContextManager[Any]:
    """Return a span of the current trace; its attributes are counts, never a part of a text."""
    if not ENABLED:
        return _NO_SPAN
    return TRACER.start_as_current_span(name, attributes=attributes, record_exception=False)


def origin() -> "SpanContext | None":
    """Return the context of the current span, or None where it is not recorded."""
    if not ENABLED:
        return None
    current = trace.get_current_span().get_span_context()
    return current if current.trace_flags.sampled else None


def detached() -> Context:
    """Return a context that has nothing of the current one but its place in a trace."""
    context = Context()
    if ENABLED:
        context.run(otel_context.attach, otel_context.get_current())
    return context


def link(origins: Iterable["SpanContext | None"]) -> None:
    """Link the current span to the others of those that do its work."""
    if not ENABLED:
        return
    current = trace.get_current_span()
    for other in origins:
        if other and other.span_id != current.get_span_context().span_id:
            current.add_link(other)


def shared_span(name: str, origins: Sequence["SpanContext"], seconds: float, **counts: int) -> None:
    """Record work that was done for several traces at once and has just ended.

    One span stands for the work and links every span that asked for it; it belongs to the trace
    of the first, and has the counts as attributes. Each of them gets a child of the same time,
    linked to the one. Without origins nothing is recorded.
    """
    if not origins:
        return
    end = time.time_ns()
    start = end - round(seconds * 1e9)

    def child(name: str, parent: SpanContext, linked: Sequence[SpanContext]) -> Span:
        context = trace.set_span_in_context(trace.NonRecordingSpan(parent))
        links = [Link(other) for other in linked]
        return TRACER.start_span(name, context, links=links, start_time=start)

    work = child(f"{name} batch", origins[0], origins)
    work.set_attributes(counts)
    work.end(end)
    for other in origins:
        child(name, other, [work.get_span_context()]).end(end)
