"""Where spans go: to the OTLP endpoint that the environment names.

Ray Serve sets tracing up in each of its processes when `RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH`
names `processors`, reads W3C trace context from requests and passes it on with calls:
https://docs.ray.io/en/latest/serve/monitoring.html. The exporter reads the standard variables:
https://opentelemetry.io/docs/specs/otel/protocol/exporter/.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from serve_app.errors import StartupError
from serve_app.extras import install

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

HOOK: Final = "RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH"
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_EXPORTER: Final = "opentelemetry.exporter.otlp.proto.http"


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that turn tracing on, none where no endpoint is set.

    Args:
        environment: The environment of whoever starts the service.

    Raises:
        StartupError: An endpoint is set, but the exporter is not installed.
    """
    if not any(environment.get(name) for name in _ENDPOINTS):
        return {}
    if not _installed():
        raise StartupError(
            "an OTLP endpoint is set, but the OTLP exporter is not installed",
            f"unset OTEL_EXPORTER_OTLP_ENDPOINT, or {install('tracing')}",
        )
    return {
        HOOK: "serve_app.tracing.exporter:processors",
        "OTEL_SERVICE_NAME": environment.get("OTEL_SERVICE_NAME", "sentiment-serve"),
    }


def _installed() -> bool:
    try:
        return find_spec(_EXPORTER) is not None
    except ModuleNotFoundError:
        return False


def processors() -> "list[SpanProcessor]":
    """Return what Ray Serve is to hand every finished span to."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    return [BatchSpanProcessor(OTLPSpanExporter())]
