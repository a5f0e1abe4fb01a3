"""`sentiment rollout`: bring a release to Kubernetes, and back."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from serve_app.console import say

if TYPE_CHECKING:
    from serve_app.rollout.rollout import Options

DIFFERENT = 8
STATUSES = f"""
0: done

1: not begun; the manifest, the revision or the kubeconfig is wrong

2: wrong usage

3: refused by the API server or the operator

4: the new version does not start

5: not done yet

6: the API server does not answer

7: the new version does not predict

{DIFFERENT}: `diff` has found differences
"""

app = typer.Typer(
    no_args_is_help=True,
    help=f"Bring a release to Kubernetes, and back.\n\nExit status:\n{STATUSES}",
)

ManifestPath = Annotated[
    str, typer.Argument(metavar="MANIFEST", help="Rendered YAML; - reads standard input.")
]
Name = Annotated[str, typer.Argument(help="Name of the RayService.")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Of the RayService.")]
Context = Annotated[
    str | None, typer.Option(help="Context of the kubeconfig; by default the current one.")
]
Url = Annotated[
    str | None,
    typer.Option(
        help="Where clients reach the service, such as https://app.example.com. The prediction "
        "at the end is sent there, with the key of $SENTIMENT_API_KEY if that is set; by default, "
        "it goes through the API server."
    ),
]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for the whole rollout.", min=1)]
AllowTags = Annotated[
    bool, typer.Option("--allow-tags", help="Accept images that are not pinned by a digest.")
]
Force = Annotated[
    bool, typer.Option("--force-conflicts", help="Take over fields that others have set.")
]


@app.command()
def apply(  # noqa: PLR0917 - typer takes options as parameters
    manifest: ManifestPath,
    url: Url = None,
    timeout: Timeout = 1800,
    allow_tags: AllowTags = False,
    force: Force = False,
    context: Context = None,
) -> None:
    """Apply a manifest, wait until it serves, and prove it by a prediction."""
    from serve_app.rollout import manifest as manifests  # noqa: PLC0415 - `serve` needs none of it
    from serve_app.rollout.connection import connect  # noqa: PLC0415
    from serve_app.rollout.rollout import Rollout  # noqa: PLC0415

    wanted = manifests.read(manifest, sys.stdin)
    manifests.check_images(wanted, allow_tags=allow_tags)
    rollout = Rollout(connect(context), wanted.name, wanted.namespace, say)
    rollout.apply(wanted, _options(timeout, url, force))


@app.command()
def rollback(  # noqa: PLR0917 - typer takes options as parameters
    name: Name,
    namespace: Namespace,
    to: Annotated[
        int | None,
        typer.Option(help="Revision; by default the last one before this that has served."),
    ] = None,
    url: Url = None,
    timeout: Timeout = 1800,
    force: Force = False,
    context: Context = None,
) -> None:
    """Return to an earlier revision, and wait as `apply` does."""
    from serve_app.rollout.connection import connect  # noqa: PLC0415
    from serve_app.rollout.rollout import Rollout  # noqa: PLC0415

    rollout = Rollout(connect(context), name, namespace, say)
    rollout.rollback(to, _options(timeout, url, force))


@app.command()
def status(name: Name, namespace: Namespace, context: Context = None) -> None:
    """Tell what serves, what is under way, and which revisions there are."""
    from serve_app.rollout.connection import connect  # noqa: PLC0415
    from serve_app.rollout.rollout import Rollout  # noqa: PLC0415

    rollout = Rollout(connect(context), name, namespace, say)
    rollout.status(print)


@app.command()
def diff(manifest: ManifestPath, force: Force = False, context: Context = None) -> None:
    """Show what a manifest would change, and what the operator would do about it."""
    from serve_app.rollout import manifest as manifests  # noqa: PLC0415
    from serve_app.rollout.connection import connect  # noqa: PLC0415
    from serve_app.rollout.rollout import Rollout  # noqa: PLC0415

    wanted = manifests.read(manifest, sys.stdin)
    rollout = Rollout(connect(context), wanted.name, wanted.namespace, say)
    differences = rollout.differences(wanted, force=force)
    print(differences, end="")
    if differences:
        raise typer.Exit(DIFFERENT)


def _options(timeout: float, url: str | None, force: bool) -> "Options":
    from serve_app.cli.scoring import API_KEY  # noqa: PLC0415
    from serve_app.rollout.rollout import Options  # noqa: PLC0415
    from serve_app.rollout.watch import Limits  # noqa: PLC0415

    return Options(Limits(timeout_s=timeout), url, force, os.environ.get(API_KEY))
