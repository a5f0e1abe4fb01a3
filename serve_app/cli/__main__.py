"""The command line, `sentiment` or `python -m serve_app.cli`, with the verbs that are short.

The base installation runs `predict` and `key`. Other verbs import what they need when they run.
"""

import sys
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import Annotated, Final

import typer

from serve_app.api_keys import hash_of, new_key
from serve_app.cli import batch, model, predict, rollout
from serve_app.cli.help import INTERRUPTED, KILLED, exit_codes, group_help
from serve_app.console import Extra, fail, install, say, show
from serve_app.errors import StartupError

# Entry points of other packages that add verbs, as `loadtest` does.
VERBS: Final = "sentiment.verbs"

# A load beyond any that exists, which still gives finite numbers.
MAX_LOAD: Final = 1e9

EXTRAS: Final[dict[str, Extra]] = {
    "serve": "serve",
    "model": "serve",
    "capacity": "serve",
    "batch": "batch",
    "rollout": "kuberay",
    "report": "loadtest",
}


def _panel(verb: str) -> str:
    return f"With the extra `{EXTRAS[verb]}`"


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=group_help("""
        Sentiment API on Ray Serve.

        Examples:
          sentiment serve
          sentiment predict "I love this!" "What a waste."
          sentiment predict -i reviews.csv -o scored.csv
    """),
)


@app.command(rich_help_panel=_panel("serve"))
@exit_codes(0, 1, 2, KILLED)
def serve(
    config: Annotated[Path, typer.Argument(help="Configuration file.")] = Path("configs/dev.yaml"),
) -> None:
    """Serve a configuration file on this machine until Ctrl-C.

    Examples:
      sentiment serve
      sentiment serve my.yaml

    docs/configuration.md has every key of a configuration file.
    """
    from serve_app.ray_serve.launch import launch  # noqa: PLC0415

    sys.exit(launch(config))


@app.command()
@exit_codes(0, 1, 2, INTERRUPTED)
def key() -> None:
    """Make an API key and its hash: the key is for a client, the hash for the configuration.

    Examples:
      sentiment key

    docs/configuration.md explains how to rotate keys.
    """
    made = new_key()
    print(f"key   {made}")
    print(f"hash  {hash_of(made.encode())}")
    say("give the key to the client and keep no copy: the service needs only the hash,")
    say("in the list `api_keys` under user_config of Gateway")


def _finite(value: float | None) -> float | None:
    # NaN passes every range.
    if value is not None and not isfinite(value):
        raise typer.BadParameter("the value must be a finite number")
    return value


@app.command(rich_help_panel=_panel("capacity"))
@exit_codes(0, 1, 2, INTERRUPTED)
def capacity(
    *,
    rps: Annotated[
        float, typer.Option(min=0, max=MAX_LOAD, callback=_finite, help="Requests each second.")
    ],
    texts: Annotated[
        float, typer.Option(min=0, max=MAX_LOAD, callback=_finite, help="Texts in a request.")
    ] = 1,
    tokens: Annotated[
        int, typer.Option(min=1, max=512, help="Tokens in a text, two special ones included.")
    ] = 24,
    hit_rate: Annotated[
        float,
        typer.Option(min=0, max=1, callback=_finite, help="Share of the texts in the cache."),
    ] = 0.0,
    tokens_per_second: Annotated[
        float | None,
        typer.Option(
            min=1,
            callback=_finite,
            help="Rate of one classifier replica, measured by you; else DistilBERT-base's.",
        ),
    ] = None,
    measure: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Measure that model's int8 engine here, and use it."),
    ] = None,
) -> None:
    """Print the gateways, classifiers, pods and nodes that a load needs, and why.

    Examples:
      sentiment capacity --rps 2000 --texts 1 --tokens 24 --hit-rate 0.6
      sentiment capacity --rps 50 --texts 16 --measure path/to/model
    """
    from serve_app import capacity as table  # noqa: PLC0415

    rate, origin = table.TOKENS_PER_S, table.TOKENS_SOURCE
    if measure is not None:
        from serve_app.model.store import resolve  # noqa: PLC0415

        rate = table.tokens_per_second(resolve(measure), tokens)
        origin = f"{measure} on onnx-int8, measured here"
    elif tokens_per_second is not None:
        rate, origin = tokens_per_second, "given by you"
    show(table.report(table.Load(rps, texts, tokens, hit_rate), rate, origin))


app.command()(predict.predict)
app.command(rich_help_panel=_panel("batch"))(batch.batch)
app.add_typer(model.app, name="model", rich_help_panel=_panel("model"))
app.add_typer(rollout.app, name="rollout", rich_help_panel=_panel("rollout"))


def add_verbs(found: Iterable[EntryPoint]) -> None:
    """Add the verbs of other packages; an image has none of these packages."""
    for verb in found:
        if find_spec(verb.module.partition(".")[0]):
            app.add_typer(verb.load())


add_verbs(entry_points(group=VERBS))


def main() -> None:
    """Run the command line; a `StartupError` or a missing package ends it with one line."""
    try:
        app(prog_name="sentiment")
    except StartupError as error:
        fail(error)
    except ModuleNotFoundError as error:
        if not error.name or find_spec(error.name.partition(".")[0]):
            raise
        verb = sys.argv[1]
        problem = f"`sentiment {verb}` needs a package that is not installed: {error.name}"
        fail(StartupError(problem, install(EXTRAS.get(verb, "serve"))))


if __name__ == "__main__":
    main()
