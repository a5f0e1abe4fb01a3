"""`sentiment rollout`: deploy a release to Kubernetes, and roll it back."""

import os
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from serve_app.cli.help import API_KEY, DIFFERENT, INTERRUPTED, exit_codes, group_help
from serve_app.console import say, show

if TYPE_CHECKING:
    from serve_app.rollout.rollout import Rollout

app = typer.Typer(
    no_args_is_help=True,
    help=group_help("""
        Deploy a release to Kubernetes, and roll it back.

        Examples:
          kubectl kustomize kuberay/overlays/prod | sentiment rollout apply -
          sentiment rollout status sentiment --namespace sentiment
    """),
)

# What a rollout can end with.
CHANGES: Final = (0, 1, 2, 3, 4, 5, 6, 7, INTERRUPTED)

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
@exit_codes(*CHANGES)
def apply(  # noqa: PLR0917 - typer takes options as parameters
    manifest: ManifestPath,
    url: Url = None,
    timeout: Timeout = 1800,
    allow_tags: AllowTags = False,
    force: Force = False,
    context: Context = None,
) -> None:
    """Apply a manifest, wait until it serves, and check it with a prediction.

    Examples:
      sentiment rollout apply rendered.yaml
      kubectl kustomize kuberay/overlays/prod | sentiment rollout apply -

    If you interrupt it, the rollout goes on: follow it with `sentiment rollout status`.
    """
    from serve_app.rollout.manifest import check_images, read  # noqa: PLC0415 - an extra

    wanted = read(manifest, sys.stdin)
    check_images(wanted, allow_tags=allow_tags)
    _rollout(wanted.name, wanted.namespace, context, url, force, timeout).apply(wanted)


@app.command()
@exit_codes(*CHANGES)
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
    """Apply an earlier revision again, and wait as `apply` does.

    Examples:
      sentiment rollout rollback sentiment --namespace sentiment
      sentiment rollout rollback sentiment --namespace sentiment --to 3
    """
    _rollout(name, namespace, context, url, force, timeout).rollback(to)


@app.command()
@exit_codes(0, 1, 2, 3, 4, 5, 6, INTERRUPTED)
def status(name: Name, namespace: Namespace, context: Context = None) -> None:
    """Show what serves, what is in progress, and which revisions there are.

    Examples:
      sentiment rollout status sentiment --namespace sentiment
    """
    _rollout(name, namespace, context).status(show)


@app.command()
@exit_codes(0, 1, 2, 3, 6, DIFFERENT, INTERRUPTED)
def diff(manifest: ManifestPath, force: Force = False, context: Context = None) -> None:
    """Show what a manifest would change, and what the operator would do about it.

    Examples:
      kubectl kustomize kuberay/overlays/prod | sentiment rollout diff -
    """
    from serve_app.rollout.manifest import read  # noqa: PLC0415 - an extra

    wanted = read(manifest, sys.stdin)
    differences = _rollout(wanted.name, wanted.namespace, context, force=force).differences(wanted)
    if differences:
        show(differences.removesuffix("\n"))
        raise typer.Exit(DIFFERENT)


def _rollout(  # noqa: PLR0917 - the options of the commands
    name: str,
    namespace: str,
    context: str | None,
    url: str | None = None,
    force: bool = False,
    timeout_s: float = 0,
) -> "Rollout":
    from serve_app.rollout.cluster import connect  # noqa: PLC0415
    from serve_app.rollout.monitor import Limits  # noqa: PLC0415
    from serve_app.rollout.rollout import Rollout  # noqa: PLC0415

    api, limits = connect(name, namespace, context), Limits(timeout_s=timeout_s)
    return Rollout(api, say, url, os.environ.get(API_KEY), force, limits)
