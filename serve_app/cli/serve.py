"""`sentiment serve`."""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from serve_app.cli.help import KILLED, help_text
from serve_app.ray_serve.launch import launch

HELP: Final = help_text(
    "Serve a configuration file on this machine until Ctrl-C.",
    """
sentiment serve
sentiment serve my.yaml
""",
    "docs/configuration.md has every key of a configuration file.",
    exit_codes=(0, 1, 2, KILLED),
)


def serve(
    config: Annotated[Path, typer.Argument(help="Configuration file.")] = Path("configs/dev.yaml"),
) -> None:
    """Serve a configuration file; `HELP` is what users read."""
    sys.exit(launch(config))
