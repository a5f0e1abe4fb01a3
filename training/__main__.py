"""Command line of the fine-tuning program."""

import argparse
import importlib.util
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from serve_app.console import install
from serve_app.errors import StartupError
from training.recipe import EMBEDDED, PRESETS, Recipe

if TYPE_CHECKING:
    from training.experiment import Experiment

DESCRIPTION = """\
Fine-tune, calibrate and evaluate a classifier with any number of labels.

A model with neutral, from the embedded one, without a network, in two minutes:
  python -m training --preset quick --train training/example/train.tsv \\
    --evaluate dev=training/example/dev.tsv --output models/three-labels

The labels are the names in the column `label`, or numbers from 0 on with names:
  --labels negative neutral positive
"""
PACKAGES = ("torch", "transformers", "accelerate", "sklearn", "scipy", "matplotlib")


def main(arguments: Sequence[str] | None = None) -> int:
    """Fine-tune a sentiment model.

    Args:
        arguments: Command line without the program's name; by default the process's own.

    Returns:
        Exit status: 0 on success, 1 on an error that the user can correct.
    """
    hint = _missing()
    options = _parser(hint).parse_args(arguments)
    if hint:
        print(f"training: {hint}", file=sys.stderr)
        return 1
    # Not installed where one only serves.
    from training.base import BaseError  # noqa: PLC0415
    from training.corpus import CorpusError  # noqa: PLC0415
    from training.progress import ResumeError  # noqa: PLC0415

    try:
        _experiment(options).run(resume=options.resume)
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        print(f"training: --{_flag(first['loc'])}: {message}", file=sys.stderr)
        return 1
    except (CorpusError, BaseError, ResumeError, StartupError) as error:
        print(f"training: {error}", file=sys.stderr)
        return 1
    return 0


def _missing() -> str:
    """Say which packages are missing and how to install them; nothing where all are there."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if not missing:
        return ""
    return f"it needs {', '.join(missing)}\nhint: {install('training')}"


def _parser(hint: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training",
        description=DESCRIPTION,
        epilog=f"Before a run, {hint}" if hint else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        # Every setting would be repeated here.
        usage="python -m training --preset PRESET --train TSV --evaluate NAME=TSV\n"
        "         --output DIRECTORY [--base-path MODEL] [settings]",
    )
    parser.add_argument("--preset", choices=PRESETS, required=True, help="recipe to start from")
    parser.add_argument("--train", type=Path, required=True, help="TSV file: text, label")
    parser.add_argument(
        "--evaluate",
        type=_named_path,
        nargs="+",
        required=True,
        metavar="NAME=PATH",
        help="TSV files to evaluate on; the first one selects the best weights",
    )
    parser.add_argument("--output", type=Path, required=True, help="directory of the model")
    parser.add_argument("--state", type=Path, help="directory of resume points [OUTPUT.state]")
    parser.add_argument(
        "--base-path",
        help="model to start from: a directory, a hub id, or embedded [--base]; it may have other "
        "labels, its head is replaced then",
    )
    parser.add_argument("--note", default="", help="remark for the model card")
    parser.add_argument("--resume", action="store_true", help="continue from the last resume point")
    settings = parser.add_argument_group("settings of the recipe (default: the preset's)")
    for name, setting in Recipe.model_fields.items():
        settings.add_argument(
            f"--{_flag([name])}",
            nargs=_count(name),
            help=setting.description,
        )
    return parser


def _count(name: str) -> int | str | None:
    return 2 if name.startswith("joined_") else "+" if name == "labels" else None


def _experiment(options: argparse.Namespace) -> "Experiment":
    from training.experiment import Experiment  # noqa: PLC0415

    overrides = {
        name: value for name in Recipe.model_fields if (value := getattr(options, name)) is not None
    }
    preset = PRESETS[options.preset]
    if preset.base == EMBEDDED and options.base_path and "base" not in overrides:
        # The card names what was started from; the others load a copy of what they name.
        path = Path(options.base_path)
        overrides["base"] = path.resolve().name if path.is_dir() else options.base_path
    recipe = Recipe.model_validate(preset.model_dump() | overrides)
    return Experiment(
        recipe=recipe,
        base_path=options.base_path or recipe.base,
        train=options.train,
        evaluations=dict(options.evaluate),
        output=options.output,
        state=options.state or options.output.with_name(f"{options.output.name}.state"),
        command=_command(options, overrides),
        note=options.note,
    )


def _command(options: argparse.Namespace, overrides: dict[str, Any]) -> str:
    """Rebuild the command line with file names in place of this machine's paths."""
    words = ["python", "-m", "training", "--preset", options.preset]
    words += ["--train", options.train.name, "--evaluate"]
    words += [f"{name}={path.name}" for name, path in options.evaluate]
    words += ["--output", options.output.name]
    if base := options.base_path:
        words += ["--base-path", Path(base).name if Path(base).is_dir() else base]
    for name, value in overrides.items():
        words += [f"--{_flag([name])}", *([value] if isinstance(value, str) else value)]
    return shlex.join(words)


def _named_path(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=PATH")
    return name, Path(path)


def _flag(location: Sequence[int | str]) -> str:
    return str(location[0]).replace("_", "-")


if __name__ == "__main__":
    sys.exit(main())
