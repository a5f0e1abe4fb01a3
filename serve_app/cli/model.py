"""`sentiment model`: look at, prepare and evaluate models."""

from math import prod
from pathlib import Path
from typing import Annotated, Final

import typer

from serve_app.cli.help import INTERRUPTED, MODEL, MODEL_HELP, exit_codes, group_help
from serve_app.console import say, show

app = typer.Typer(
    no_args_is_help=True,
    help=group_help("""
        Look at, prepare and evaluate models.

        Examples:
          sentiment model info embedded
          sentiment model prepare organization/name@revision
    """),
)

TOKENIZER_SETTINGS: Final = (
    "tokenizer_class", "do_lower_case", "strip_accents", "tokenize_chinese_chars",
    "add_prefix_space", "add_bos_token", "add_eos_token", "truncation_side", "model_max_length",
)  # fmt: skip
SCORES: Final = {
    "softmax": "softmax: one label a text, the scores sum to 1",
    "sigmoid": "sigmoid: labels do not exclude each other, the scores do not sum to 1",
}

Model = Annotated[str, typer.Argument(help=MODEL_HELP)]


@app.command()
@exit_codes(0, 1, 2, INTERRUPTED)
def info(model: Model = MODEL) -> None:
    """Print what was understood of a model, and how it will be served.

    Examples:
      sentiment model info embedded
      sentiment model info path/to/model
    """
    from serve_app.model import store  # noqa: PLC0415 - `serve` needs none of it
    from serve_app.model.config import head  # noqa: PLC0415
    from serve_app.model.onnx_bundle import ENGINES, find_bundle  # noqa: PLC0415

    identity = store.resolve(model)
    settings, bundle = store.settings_of(identity.path), find_bundle(identity)
    tensors = store.read_tensors(identity.path)
    heads = [f"{name} {list(shape)}" for name, shape in head(tensors).items()]
    parameters = sum(prod(shape) for shape, _ in tensors.values())
    dtypes = ", ".join(sorted({dtype for _, dtype in tensors.values()}))
    config = identity.path / store.TOKENIZER_CONFIG
    given = store.read_json(config) if config.exists() else {}
    shown = [f"{name} {value}" for name, value in given.items() if name in TOKENIZER_SETTINGS]
    served = ["with torch, or with ONNX after `sentiment model prepare`"]
    if bundle:
        served = [f"{name}: {bundle.refusal(name) or 'faithful'}" for name in ENGINES]
        served.append(f"auto takes {bundle.default_engine}")
    lines = {
        **{name: getattr(identity, name) for name in ("model_id", "path", "revision", "digest")},
        "classifier": settings.architecture,
        "labels": ", ".join(identity.labels),
        "head": ", ".join(heads) or "found by transformers",
        "scores": SCORES[identity.transform],
        "max_tokens": f"{identity.max_tokens}: {settings.lengths.explained}",
        "pad_id": identity.pad_id,
        "tokenizer": ", ".join(file.name for file in store.tokenizer_files(identity.path)),
        "settings": ", ".join(shown) or "none",
        "weights": f"{len(tensors)} tensors, {parameters / 1e6:.1f} million parameters, {dtypes}, "
        f"in {', '.join(file.name for file in store.weight_files(identity.path))}",
        "prepared": bundle.directory if bundle else "no",
        "served": "; ".join(served),
    }
    for name, value in lines.items():
        show(f"{name:10} {value}")


@app.command()
@exit_codes(0, 1, 2, INTERRUPTED)
def prepare(
    model: Model = MODEL,
    beside: Annotated[
        bool,
        typer.Option(
            "--beside",
            help="Put the files into the model's own directory, so that a copy of it, as in a "
            "container image, has them too.",
        ),
    ] = False,
) -> None:
    """Export a model to ONNX, quantize it to int8 and verify both against torch.

    Examples:
      sentiment model prepare embedded
      sentiment model prepare organization/name@revision

    Files go to $SENTIMENT_CACHE_DIR, by default ~/.cache/sentiment-serve, and are made once.
    """
    from serve_app.export import prepare as preparation  # noqa: PLC0415
    from serve_app.model.onnx_bundle import parity_table  # noqa: PLC0415
    from serve_app.model.store import resolve  # noqa: PLC0415

    bundle = preparation.prepare(resolve(model), say, beside=beside)
    show(parity_table(bundle))
    show(f"{bundle.default_engine} is the default; files in {bundle.directory}")


@app.command()
@exit_codes(0, 1, 2, INTERRUPTED)
def evaluate(
    data: Annotated[Path, typer.Argument(help="TSV file with the columns text and label.")],
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = MODEL,
) -> None:
    """Print the accuracy of torch, ONNX fp32 and ONNX int8 side by side.

    Examples:
      sentiment model evaluate path/to/dev.tsv --model path/to/model

    Labels are the names that `sentiment model info` prints, or their numbers from 0.
    """
    from serve_app.export import evaluate as evaluation  # noqa: PLC0415
    from serve_app.model.store import resolve  # noqa: PLC0415

    show(evaluation.evaluation_table(evaluation.evaluate(resolve(model), data, say)))
