"""Plain mean of the weights of fine-tuned classifiers, a "model soup".

Models fine-tuned from the same weights often average to a better one
(https://arxiv.org/abs/2203.05482).

Run as ``python -m training.soup MODEL MODEL... --output DIR``.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch.optim.swa_utils import AveragedModel
from transformers import AutoTokenizer, PreTrainedModel

from serve_app.errors import StartupError
from training.model_directory import load_classifier, replace_directory, save_classifier

FILES = ("config.json", "model.safetensors")


class SoupError(ValueError):
    """The models cannot be averaged; the message says what to do."""


def write_soup(models: Sequence[Path], output: Path) -> None:
    """Average classifiers and write the result in Hugging Face form, in float32.

    Args:
        models: Directories of classifiers of the same shape; the first one's configuration and
            tokenizer are kept.
        output: Directory to write; an old one is replaced.

    Raises:
        SoupError: A model is missing or incomplete, or has another shape than the first.
    """
    _check_files(models)
    average = AveragedModel(load_classifier(models[0]))
    mean = cast(PreTrainedModel, average.module)
    for path in models:
        model = load_classifier(path)
        if _shape(model) != _shape(mean):
            raise SoupError(
                f"{path} has another shape than {models[0]}: pass models of one architecture"
            )
        average.update_parameters(model)
    tokenizer = AutoTokenizer.from_pretrained(models[0], trust_remote_code=False)
    replace_directory(output, lambda path: save_classifier(mean, tokenizer, "float32", path))


def main(arguments: Sequence[str] | None = None) -> int:
    """Average the classifiers given on the command line.

    Args:
        arguments: Command line without the program's name; by default the process's own.

    Returns:
        Exit status: 0 on success, 1 on an error that the user can correct.
    """
    parser = argparse.ArgumentParser(
        prog="python -m training.soup", description="Average the weights of classifiers."
    )
    parser.add_argument(
        "models", type=Path, nargs="+", metavar="MODEL", help="directory of a classifier"
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="directory to write; an old one is replaced"
    )
    options = parser.parse_args(arguments)
    try:
        write_soup(options.models, options.output)
    except (SoupError, StartupError) as error:
        print(f"training.soup: {error}", file=sys.stderr)
        return 1
    return 0


def _check_files(models: Sequence[Path]) -> None:
    for path in models:
        if not path.is_dir():
            raise SoupError(f"no directory at {path}: pass directories of fine-tuned classifiers")
        for name in (*FILES, "tokenizer.json") if path == models[0] else FILES:
            if not (path / name).is_file():
                raise SoupError(f"{path} has no {name}: pass directories that training left")


def _shape(model: PreTrainedModel) -> dict[str, torch.Size]:
    return {name: parameter.shape for name, parameter in model.named_parameters()}


if __name__ == "__main__":
    sys.exit(main())
