"""Finds what is wrong with a command without running it: each program has a way of its own."""

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import typer
from typer.main import get_command

from serve_app.api.app import STATES
from serve_app.api.formats import PREDICTIONS
from serve_app.cli.__main__ import app
from tests.documentation.markdown import ROOT


class Wrong(Exception):
    """A command could not be run."""


def dry_run(command: str) -> None:
    """Check a command: each part of a pipe by the rule of its program.

    Raises:
        Wrong: It could not be run; says why.
    """
    for part in re.split(r" \| | > \S+$", command):
        words = shlex.split(part.removesuffix(" &"))
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        if not words:
            continue
        program, *arguments = words
        if (ROOT / program).is_file():
            if not (ROOT / program).stat().st_mode & 0o111:
                raise Wrong(f"{program} cannot be executed")
        elif program in RULES:
            RULES[program](arguments)
        elif program not in ELSEWHERE:
            raise Wrong(f"{program} is neither a program that is checked nor one of elsewhere")


def _make(arguments: list[str]) -> None:
    """`make --dry-run` knows the verb and expands its recipe."""
    done = subprocess.run(
        ["make", "--dry-run", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Wrong(done.stderr)


def _sentiment(arguments: list[str]) -> None:
    """The command line itself reads the arguments, and stops before it does anything."""
    command = get_command(app)
    while True:
        try:
            context = command.make_context("sentiment", list(arguments))
        except typer.Exit:
            return
        except Exception as error:
            raise Wrong(f"{type(error).__name__}: {error}") from error
        verbs = getattr(command, "commands", None)
        if verbs is None or not context._protected_args:
            return
        verb, *arguments = [*context._protected_args, *context.args]
        if verb not in verbs:
            raise Wrong(f"there is no verb {verb}")
        command = verbs[verb]


def _python(arguments: list[str]) -> None:
    """The module is there, and its source names each option."""
    flag, module, *options = arguments
    spec = find_spec(module) if flag == "-m" else None
    if spec is None:
        raise Wrong(f"there is no module {module}")
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    sources = [path for folder in folders for path in folder.rglob("*.py")]
    text = "".join(path.read_text() for path in sources or [Path(str(spec.origin))])
    for option in options:
        parameter = f"{option.removeprefix('--').replace('-', '_')}:"
        known = option == "--help" or option in text or parameter in text
        if option.startswith("--") and not known:
            raise Wrong(f"{module} has no option {option}")


def _curl(arguments: list[str]) -> None:
    """The path is one of the service, the body is JSON."""
    [url] = [word for word in arguments if word.startswith("http")]
    if urlsplit(url).path not in PREDICTIONS | STATES:
        raise Wrong(f"the service has no {url}")
    if "-d" in arguments:
        json.loads(arguments[arguments.index("-d") + 1])


def _kubectl(arguments: list[str]) -> None:
    """A directory that is to be rendered has a kustomization."""
    for word in arguments:
        if word.startswith("kuberay/") and not (ROOT / word / "kustomization.yaml").exists():
            raise Wrong(f"{word} has no kustomization.yaml")


RULES: Final[dict[str, Callable[[list[str]], None]]] = {
    "make": _make,
    "sentiment": _sentiment,
    "python": _python,
    "curl": _curl,
    "kubectl": _kubectl,
}
# Programs of others whose use cannot be checked here: they need Azure, a cluster, an engine of
# containers, or are part of every shell.
ELSEWHERE: Final = frozenset({"az", "cat", "docker", "grafana", "helm", "jq", "pip", "zcat"})
