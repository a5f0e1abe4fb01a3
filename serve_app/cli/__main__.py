"""Puts the verbs together: `sentiment`, or `python -m serve_app.cli`."""

import typer

from serve_app.cli import model, rollout
from serve_app.cli.batch import HELP as BATCH_HELP
from serve_app.cli.batch import batch
from serve_app.cli.capacity import capacity
from serve_app.cli.key import key
from serve_app.cli.predict import HELP as PREDICT_HELP
from serve_app.cli.predict import predict
from serve_app.cli.report import report
from serve_app.cli.serve import serve
from serve_app.console import fail
from serve_app.errors import StartupError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Sentiment API on Ray Serve.",
)
app.command()(serve)
app.command(help=PREDICT_HELP)(predict)
app.command(help=BATCH_HELP)(batch)
app.command()(capacity)
app.command()(report)
app.command()(key)
app.add_typer(model.app, name="model")
app.add_typer(rollout.app, name="rollout")


def main() -> None:
    """Run the command line, with one line for whatever prevents it."""
    try:
        app()
    except StartupError as error:
        fail(error)


if __name__ == "__main__":
    main()
