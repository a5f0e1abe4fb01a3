import subprocess
import sys

import pytest

from serve_app.errors import StartupError
from serve_app.telemetry import tracing as exporter
from serve_app.telemetry.tracing import HOOK, processors, variables

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


def test_tracing_is_off_unless_an_endpoint_is_set() -> None:
    assert variables({}) == {}
    assert variables({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}) == {}


def test_an_endpoint_turns_it_on_under_a_name_that_may_be_chosen() -> None:
    assert variables(ENDPOINT)["OTEL_SERVICE_NAME"] == "sentiment-serve"
    assert variables(ENDPOINT | {"OTEL_SERVICE_NAME": "mine"})["OTEL_SERVICE_NAME"] == "mine"


def test_the_hook_names_the_function_that_serve_calls() -> None:
    name = f"{processors.__module__}:{processors.__name__}"
    assert variables(ENDPOINT)[HOOK] == name


def test_an_endpoint_without_an_exporter_is_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exporter, "_EXPORTER", "opentelemetry.no.such.exporter")
    with pytest.raises(StartupError, match=r"tracing"):
        variables(ENDPOINT)


def test_nothing_of_opentelemetry_is_imported_while_it_is_off() -> None:
    program = (
        "import contextvars, sys\n"
        "import serve_app.dispatch.coalescer\n"
        "from serve_app.telemetry.tracing import detached, link, origin, span\n"
        "with span('cache', texts=1): link([origin()])\n"
        "assert type(detached()) is contextvars.Context\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert not [name for name in done.stdout.split() if name.startswith("opentelemetry")]
