"""`sentiment capacity`."""

from math import isfinite
from typing import Annotated, Final

import typer

from serve_app.cli.help import help_text

HELP: Final = help_text(
    "Print the gateways, classifiers, pods and nodes that a load needs, and why.",
    """
sentiment capacity --rps 2000 --texts 1 --tokens 24 --hit-rate 0.6
sentiment capacity --rps 50 --texts 16 --measure path/to/model
""",
)


# Far beyond any load; what is computed from it stays a number.
MOST: Final = 1e9


def finite(value: float | None) -> float | None:
    """Refuse NaN, which no range leaves out, and infinity."""
    if value is not None and not isfinite(value):
        raise typer.BadParameter("this is no finite number")
    return value


def capacity(
    *,
    rps: Annotated[
        float, typer.Option(min=0, max=MOST, callback=finite, help="Requests each second.")
    ],
    texts: Annotated[
        float, typer.Option(min=0, max=MOST, callback=finite, help="Texts in a request.")
    ] = 1,
    tokens: Annotated[
        int, typer.Option(min=1, max=512, help="Tokens in a text, two special ones included.")
    ] = 24,
    hit_rate: Annotated[
        float,
        typer.Option(
            min=0, max=1, callback=finite, help="Share of the texts that the cache knows."
        ),
    ] = 0.0,
    tokens_per_second: Annotated[
        float | None,
        typer.Option(
            min=1,
            callback=finite,
            help="What one classifier replica computes, measured by you; else DistilBERT-base's.",
        ),
    ] = None,
    measure: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Measure that model's int8 engine here, and use it."),
    ] = None,
) -> None:
    """Count what a load needs; `HELP` is what users read."""
    from serve_app import capacity as figures  # noqa: PLC0415 - `serve` needs none of it
    from serve_app.capacity import Load, report  # noqa: PLC0415

    load = Load(rps, texts, tokens, hit_rate)
    if measure is not None:
        from serve_app.capacity import tokens_per_second as measured  # noqa: PLC0415
        from serve_app.model.store import resolve  # noqa: PLC0415

        rate = measured(resolve(measure), "onnx-int8", tokens)
        print(report(load, rate, f"{measure} on onnx-int8, measured here"))
    elif tokens_per_second is not None:
        print(report(load, tokens_per_second, "given by you"))
    else:
        print(report(load, figures.TOKENS_PER_S, figures.TOKENS_SOURCE))
