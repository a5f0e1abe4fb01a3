"""Command line of the fine-tuning program."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from serve_app.errors import StartupError
from training.base import BaseError
from training.corpus import CorpusError
from training.experiment import Experiment
from training.progress import ResumeError
from training.recipe import PRESETS, Recipe

DESCRIPTION = "Fine-tune, calibrate and evaluate a sentiment classifier."


def main(arguments: Sequence[str] | None = None) -> int:
    """Fine-tune a sentiment model.

    Args:
        arguments: Command line without the program's name; by default the process's own.

    Returns:
        Exit status: 0 on success, 1 on an error that the user can correct.
    """
    options = _parser().parse_args(arguments)
    try:
        _experiment(options).run(resume=options.resume)
    except ValidationError as error:
        first = error.errors()[0]
        print(f"training: --{_flag(first['loc'])}: {first['msg']}", file=sys.stderr)
        return 1
    except (CorpusError, BaseError, ResumeError, StartupError) as error:
        print(f"training: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=DESCRIPTION)
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
    parser.add_argument("--base-path", help="directory or hub id to load the base from [--base]")
    parser.add_argument("--note", default="", help="remark for the model card")
    parser.add_argument("--resume", action="store_true", help="continue from the last resume point")
    settings = parser.add_argument_group("settings of the recipe (default: the preset's)")
    for name, setting in Recipe.model_fields.items():
        settings.add_argument(
            f"--{_flag([name])}",
            nargs=2 if name.startswith("joined_") else None,
            help=setting.description,
        )
    return parser


def _experiment(options: argparse.Namespace) -> Experiment:
    overrides = {
        name: value for name in Recipe.model_fields if (value := getattr(options, name)) is not None
    }
    recipe = Recipe.model_validate(PRESETS[options.preset].model_dump() | overrides)
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
