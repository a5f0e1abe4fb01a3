"""`make monitoring`: Prometheus beside the running service, until Ctrl-C."""

import signal
from pathlib import Path
from typing import Final

from monitoring.prometheus import Prometheus
from serve_app.console import fail, say
from serve_app.errors import StartupError

CONFIG: Final = Path(__file__).parent / "prometheus.yaml"
DATA: Final = Path(".prometheus")
PORT: Final = 9090


def main() -> None:
    """Run Prometheus in sight of a person."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Prometheus(CONFIG, DATA, PORT) as prometheus:
            say(f"Prometheus: {prometheus.url}/targets, {prometheus.url}/alerts; Ctrl-C ends it")
            prometheus.wait()
    except KeyboardInterrupt:
        say("stopping")
    except StartupError as error:
        fail(error)


if __name__ == "__main__":
    main()
