"""`sentiment report`, which `pyproject.toml` registers among the verbs of the command line."""

from pathlib import Path
from typing import Annotated

import typer

from serve_app.cli.help import INTERRUPTED, exit_codes
from serve_app.console import install, say
from serve_app.errors import StartupError

app = typer.Typer()


@app.command(rich_help_panel="With the extra `loadtest`")
@exit_codes(0, 1, 2, INTERRUPTED)
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
    """Report on a load test, or compare two, the first being the base.

    Examples:
      sentiment report results/family-20261123-120000
      sentiment report results/before results/after --output comparison/

    The report is one HTML page that needs no other file, with its pictures beside it as PNG.
    """
    try:
        # Charts and templates are not installed where one only serves.
        from loadtest.report.report import report as write  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise StartupError(
            f"reports need a package that is not installed: {error.name}", install("loadtest")
        ) from None
    say(f"report: {write(results, output or results[-1])}")
