"""The service's own process: `python -m serve_app CONFIG`, started by `sentiment serve`."""

import signal
import sys
from pathlib import Path

from serve_app.console import fail
from serve_app.errors import StartupError


def main() -> None:
    """Run the service, with one line for whatever prevents it."""
    # A shell starts background jobs with SIGINT ignored, which children inherit.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        # Importing Ray takes a second, in which the user may already press Ctrl-C.
        from serve_app.ray_serve.run import run  # noqa: PLC0415

        run(Path(sys.argv[1]))
    except StartupError as error:
        fail(error)
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
