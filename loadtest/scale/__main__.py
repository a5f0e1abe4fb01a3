"""`python -m loadtest.scale`: runs the scale test and ends every process that it started."""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from loadtest.configs import PROD
from loadtest.program import ONE_MACHINE, run_program

PARTS: Final = ("throughput", "gateway", "steps", "constant", "gateways", "nodes")
ONE_NODE: Final = PARTS[:-1]


def main(
    parts: Annotated[
        list[str] | None, typer.Argument(help=f"Of {', '.join(PARTS)}; all on one node by default.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Minutes, for CI.")] = False,
    out: Annotated[Path, typer.Option(help="Folder of JSON and PNG.")] = Path("results/scale"),
) -> None:
    """Measure how the service follows its load, with an engine that sleeps."""
    if unknown := set(parts or ()) - set(PARTS):
        raise typer.BadParameter(f"no part is called {', '.join(sorted(unknown))}")
    out.mkdir(parents=True, exist_ok=True)
    failed = False
    for part in parts or ONE_NODE:
        arguments = (part, "quick" if quick else "full", str(out.absolute()))
        status = run_program(
            "loadtest.scale.program", *arguments, config=PROD, variables=ONE_MACHINE
        )
        failed |= status != 0
    sys.exit(failed)


if __name__ == "__main__":
    typer.run(main)
