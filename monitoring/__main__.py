"""`make monitoring`: Prometheus beside the running service, until Ctrl-C."""

import os
from pathlib import Path
from typing import Final

import httpx2
import yaml

from monitoring.prometheus import Prometheus
from serve_app.console import fail, interrupt_by_signals, say
from serve_app.errors import StartupError

CONFIG: Final = Path(__file__).parent / "prometheus.yaml"
DATA: Final = Path(".prometheus")
PORT: Final = 9090


def target() -> str:
    """Return where the service exports its metrics."""
    [job] = yaml.safe_load(CONFIG.read_text())["scrape_configs"]
    address: str = job["static_configs"][0]["targets"][0]
    return f"http://{address}/metrics"


def scraped() -> bool:
    """Tell whether the service exports its metrics now."""
    try:
        return httpx2.get(target(), timeout=5).is_success
    except httpx2.HTTPError:
        return False


def main() -> None:
    """Run Prometheus in sight of a person."""
    interrupt_by_signals()
    try:
        port = int(os.environ.get("PROMETHEUS_PORT") or PORT)
        with Prometheus(CONFIG, DATA, port) as prometheus:
            say(f"Prometheus: {prometheus.url}/targets, {prometheus.url}/alerts; Ctrl-C ends it")
            if not scraped():
                say(f"nothing answers at {target()} yet: start the service with make serve")
            prometheus.wait()
    except KeyboardInterrupt:
        say("stopping")
    except StartupError as error:
        fail(error)


if __name__ == "__main__":
    main()
