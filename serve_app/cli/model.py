"""`sentiment model`: look at, prepare and evaluate models."""

from pathlib import Path
from typing import Annotated

import typer

from serve_app.console import say

app = typer.Typer(no_args_is_help=True, help="Look at, prepare and evaluate models.")

Source = Annotated[
    str, typer.Argument(help="`embedded`, a directory in Hugging Face form, or hub-id@revision.")
]


@app.command()
def info(source: Source = "embedded") -> None:
    """Print what identifies a model, and whether it is prepared."""
    from serve_app.model.artefact import find  # noqa: PLC0415 - `serve` needs none of it
    from serve_app.model.store import resolve  # noqa: PLC0415

    model = resolve(source)
    for name, value in model._asdict().items():
        print(f"{name:10} {', '.join(value) if isinstance(value, tuple) else value}")
    artefact = find(model)
    print(f"{'prepared':10} {artefact.directory if artefact else 'no'}")


@app.command()
def prepare(
    source: Source = "embedded",
    beside: Annotated[
        bool,
        typer.Option("--beside", help="Keep the files in the model's directory, for an image."),
    ] = False,
) -> None:
    """Export a model to ONNX, quantize it to int8 and verify both against torch."""
    from serve_app.model.artefact import table  # noqa: PLC0415
    from serve_app.model.store import resolve  # noqa: PLC0415
    from serve_app.preparation import prepare as preparation  # noqa: PLC0415

    artefact = preparation.prepare(resolve(source), say, beside=beside)
    print(table(artefact))
    print(f"{artefact.best} is the default; files in {artefact.directory}")


@app.command()
def evaluate(
    data: Annotated[Path, typer.Argument(help="TSV file with the columns text and label.")],
    source: Annotated[
        str, typer.Option("--model", help="See `sentiment model info`.")
    ] = "embedded",
) -> None:
    """Print the accuracy of torch, ONNX fp32 and ONNX int8 side by side."""
    from serve_app.model.store import resolve  # noqa: PLC0415
    from serve_app.preparation import evaluation  # noqa: PLC0415

    print(evaluation.table(evaluation.evaluate(resolve(source), data, say)))
