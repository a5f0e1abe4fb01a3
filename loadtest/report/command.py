"""`sentiment report`."""

from pathlib import Path
from typing import Annotated

import typer

from serve_app.console import say
from serve_app.errors import StartupError


def report(
    results: Annotated[
        list[Path], typer.Argument(help="Directory of a run, or of two to compare.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            help="Directory for the page and the pictures; default: that of the last run."
        ),
    ] = None,
) -> None:
    """Report on a load test, or compare two, the first being the base."""
    try:
        # Charts and templates are not installed where one only serves.
        from loadtest.report.report import report as write  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise StartupError(
            f"reports need {error.name}, which is not installed",
            "pip install 'sentiment-serve[loadtest]'",
        ) from None
    say(f"report: {write(results, output or results[-1])}")
