"""`sentiment serve`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from serve_app.launch import launch


def serve(
    config: Annotated[Path, typer.Argument(help="Configuration file.")] = Path("configs/dev.yaml"),
) -> None:
    """Serve a configuration file on this machine until Ctrl-C."""
    sys.exit(launch(config))
