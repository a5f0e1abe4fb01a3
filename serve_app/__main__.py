"""The process of the service, `python -m serve_app CONFIG`; `sentiment serve` starts it."""

import signal
import sys
from pathlib import Path

from serve_app.console import fail
from serve_app.errors import StartupError


def main() -> None:
    """Run the service; print an error in one line."""
    # Children of a shell's background job inherit that SIGINT is ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        # The import takes a second, in which Ctrl-C has to work too.
        from serve_app.ray_serve.run import run  # noqa: PLC0415

        run(Path(sys.argv[1]))
    except StartupError as error:
        fail(error)
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
