"""`sentiment model`: look at, prepare and evaluate models."""

from pathlib import Path
from typing import Annotated, Final

import typer

from serve_app.cli.help import group_help, help_text
from serve_app.console import say, show

app = typer.Typer(
    no_args_is_help=True,
    help=group_help(
        "Look at, prepare and evaluate models.",
        """
sentiment model info embedded
sentiment model prepare organization/name@revision
""",
    ),
)

Source = Annotated[
    str, typer.Argument(help="`embedded`, a directory in Hugging Face form, or hub-id@revision.")
]

INFO: Final = help_text(
    "Print what identifies a model, and whether it is prepared.",
    """
sentiment model info embedded
sentiment model info path/to/model
""",
)
PREPARE: Final = help_text(
    "Export a model to ONNX, quantize it to int8 and verify both against torch.",
    """
sentiment model prepare embedded
sentiment model prepare organization/name@revision
""",
    "Files go to $SENTIMENT_CACHE_DIR, by default ~/.cache/sentiment-serve, and are made once.",
)
EVALUATE: Final = help_text(
    "Print the accuracy of torch, ONNX fp32 and ONNX int8 side by side.",
    """
sentiment model evaluate path/to/dev.tsv --model path/to/model
""",
    "Labels are the names that `sentiment model info` prints, or their numbers from 0.",
)


@app.command(help=INFO)
def info(source: Source = "embedded") -> None:
    """Print what a model is; `INFO` is the text of its help."""
    from serve_app.model.onnx_bundle import find_bundle  # noqa: PLC0415
    from serve_app.model.store import resolve  # noqa: PLC0415

    model = resolve(source)
    for name, value in model._asdict().items():
        show(f"{name:10} {', '.join(value) if isinstance(value, tuple) else value}")
    bundle = find_bundle(model)
    show(f"{'prepared':10} {bundle.directory if bundle else 'no'}")


@app.command(help=PREPARE)
def prepare(
    source: Source = "embedded",
    beside: Annotated[
        bool,
        typer.Option("--beside", help="Keep the files in the model's directory, for an image."),
    ] = False,
) -> None:
    """Derive and verify ONNX files; `PREPARE` is the text of its help."""
    from serve_app.export import prepare as preparation  # noqa: PLC0415
    from serve_app.model.onnx_bundle import parity_table  # noqa: PLC0415
    from serve_app.model.store import resolve  # noqa: PLC0415

    bundle = preparation.prepare(resolve(source), say, beside=beside)
    show(parity_table(bundle))
    show(f"{bundle.default_engine} is the default; files in {bundle.directory}")


@app.command(help=EVALUATE)
def evaluate(
    data: Annotated[Path, typer.Argument(help="TSV file with the columns text and label.")],
    source: Annotated[
        str, typer.Option("--model", help="See `sentiment model info`.")
    ] = "embedded",
) -> None:
    """Compare the engines; `EVALUATE` is the text of its help."""
    from serve_app.export import evaluate as evaluation  # noqa: PLC0415
    from serve_app.model.store import resolve  # noqa: PLC0415

    show(evaluation.evaluation_table(evaluation.evaluate(resolve(source), data, say)))
