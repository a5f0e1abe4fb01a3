"""Puts the verbs together: `sentiment`, or `python -m serve_app.cli`."""

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Final

import typer

from serve_app.cli import batch, capacity, key, model, predict, rollout, serve
from serve_app.cli.help import group_help
from serve_app.console import fail
from serve_app.errors import StartupError

# Where packages that stand on this one, as `loadtest` does, add verbs of their own.
VERBS: Final = "sentiment.verbs"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=group_help(
        "Sentiment API on Ray Serve.",
        """
sentiment serve
sentiment predict "I love this!" "What a waste."
sentiment predict -i reviews.csv -o scored.csv
""",
    ),
)
app.command(help=serve.HELP)(serve.serve)
app.command(help=predict.HELP)(predict.predict)
app.command(help=batch.HELP)(batch.batch)
app.command(help=capacity.HELP)(capacity.capacity)
app.command(help=key.HELP)(key.key)
app.add_typer(model.app, name="model")
app.add_typer(rollout.app, name="rollout")


def add_verbs(found: Iterable[EntryPoint]) -> None:
    """Add the verbs of other packages, but for those that are not there: an image has none."""
    for verb in found:
        if find_spec(verb.module.partition(".")[0]):
            app.add_typer(verb.load())


add_verbs(entry_points(group=VERBS))


def main() -> None:
    """Run the command line, with one line for whatever prevents it."""
    try:
        app(prog_name="sentiment")
    except StartupError as error:
        fail(error)


if __name__ == "__main__":
    main()
