"""`sentiment model`: look at, prepare and evaluate models."""

from math import prod
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

TOKENIZER_SETTINGS: Final = (
    "tokenizer_class", "do_lower_case", "strip_accents", "tokenize_chinese_chars",
    "add_prefix_space", "add_bos_token", "add_eos_token", "truncation_side", "model_max_length",
)  # fmt: skip
SCORES: Final = {
    "softmax": "softmax: one label a text, the scores sum to 1",
    "sigmoid": "sigmoid: labels do not exclude each other, the scores do not sum to 1",
}

Source = Annotated[
    str, typer.Argument(help="`embedded`, a directory in Hugging Face form, or hub-id@revision.")
]

INFO: Final = help_text(
    "Print what was understood of a model, and how it will be served.",
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
    from serve_app.model import store  # noqa: PLC0415 - `serve` needs none of it
    from serve_app.model.config import head  # noqa: PLC0415
    from serve_app.model.onnx_bundle import ENGINES, find_bundle  # noqa: PLC0415

    model = store.resolve(source)
    settings, bundle = store.settings_of(model.path), find_bundle(model)
    tensors = store.read_tensors(model.path)
    heads = [f"{name} {list(shape)}" for name, shape in head(tensors).items()]
    parameters = sum(prod(shape) for shape, _ in tensors.values())
    dtypes = ", ".join(sorted({dtype for _, dtype in tensors.values()}))
    config = model.path / store.TOKENIZER_CONFIG
    given = store.read_json(config) if config.exists() else {}
    shown = {name: value for name, value in given.items() if name in TOKENIZER_SETTINGS}
    served = [f"{name}: {bundle.refusal(name) or 'faithful'}" for name in ENGINES] if bundle else []
    lines = {
        **{name: getattr(model, name) for name in ("model_id", "path", "revision", "digest")},
        "classifier": settings.architecture,
        "labels": ", ".join(model.labels),
        "head": ", ".join(heads) or "found by transformers",
        "scores": SCORES[model.transform],
        "max_tokens": f"{model.max_tokens}: {settings.lengths.explained}",
        "pad_id": model.pad_id,
        "tokenizer": ", ".join(file.name for file in store.tokenizer_files(model.path)),
        "settings": ", ".join(f"{name} {value}" for name, value in shown.items()) or "none",
        "weights": f"{len(tensors)} tensors, {parameters / 1e6:.1f} million parameters, {dtypes}, "
        f"in {', '.join(file.name for file in store.weight_files(model.path))}",
        "prepared": bundle.directory if bundle else "no",
        "served": "; ".join([*served, f"auto takes {bundle.default_engine}"])
        if bundle
        else "with torch, or with ONNX after `sentiment model prepare`",
    }
    for name, value in lines.items():
        show(f"{name:10} {value}")


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
