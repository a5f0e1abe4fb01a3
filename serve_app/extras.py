"""The parts of the package that need more than what serving needs."""

from typing import Literal

Extra = Literal["batch", "kuberay", "loadtest", "torch", "tracing"]


def install(extra: Extra) -> str:
    """Return the hint that says how to install an extra of `pyproject.toml`.

    Nothing is published under the project's name, so that only a checkout can be installed.
    """
    return f"in a checkout: pip install -c constraints.txt -e '.[{extra}]'"
