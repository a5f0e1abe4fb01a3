"""Revisions of a RayService, kept as Kubernetes keeps those of its own workloads.

Each applied RayService is recorded in a ControllerRevision that the RayService owns, so that both
go together. Only the RayService is kept: it is what a release changes, its ConfigMaps have names
of their own by content, and a Secret must not be copied.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from serve_app.errors import InvalidManifest
from serve_app.rollout.manifest import Document

API_VERSION: Final = "apps/v1"
KIND: Final = "ControllerRevision"
# How many are kept, as for a Deployment.
KEPT: Final = 10

_SERVICE_LABEL: Final = "sentiment-rollout/service"
_OUTCOME: Final = "sentiment-rollout/outcome"
_APPLIED_AT: Final = "sentiment-rollout/applied-at"
_GENERATION: Final = "sentiment-rollout/generation"
_APPLIED_BY_KUBECTL: Final = "kubectl.kubernetes.io/last-applied-configuration"


class Revision(NamedTuple):
    """One applied RayService.

    Attributes:
        number: Counts up with each application.
        name: Of the ControllerRevision, by content: what is applied again is the same revision.
        outcome: `applied` until it has served, then `served`; `failed`; or `silent` where it ran,
            but did not predict.
        applied_at: When it was last applied, ISO 8601.
        generation: The RayService's, when it was.
        service: The RayService as it was applied.
    """

    number: int
    name: str
    outcome: str
    applied_at: str
    generation: int
    service: Document


def selector(service: str) -> str:
    """Return the label selector of a RayService's revisions."""
    return f"{_SERVICE_LABEL}={service}"


def revision(
    service: Document, number: int, outcome: str, applied_at: str, generation: int
) -> Revision:
    """Make the revision of a RayService that is being applied.

    Args:
        service: What is applied, or what is found in the cluster.
        number: One more than that of the newest revision.
        outcome: See `Revision`.
        applied_at: See `Revision`.
        generation: See `Revision`.
    """
    kept = _applied_part(service)
    content = json.dumps(kept, sort_keys=True).encode()
    digest = hashlib.blake2b(content, digest_size=5).hexdigest()
    name = f"{kept['metadata']['name']}-{digest}"
    return Revision(number, name, outcome, applied_at, generation, kept)


def document(revision: Revision, owner_uid: str) -> Document:
    """Return the ControllerRevision that records a revision.

    Args:
        revision: What to record.
        owner_uid: The RayService's uid.
    """
    metadata = revision.service["metadata"]
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": revision.name,
            "namespace": metadata["namespace"],
            "labels": {_SERVICE_LABEL: metadata["name"]},
            "annotations": {
                _OUTCOME: revision.outcome,
                _APPLIED_AT: revision.applied_at,
                _GENERATION: str(revision.generation),
            },
            "ownerReferences": [
                {
                    "apiVersion": revision.service["apiVersion"],
                    "kind": revision.service["kind"],
                    "name": metadata["name"],
                    "uid": owner_uid,
                }
            ],
        },
        "revision": revision.number,
        "data": revision.service,
    }


def read(documents: Sequence[Document]) -> list[Revision]:
    """Read ControllerRevisions, oldest first."""
    return sorted(map(_read, documents), key=lambda revision: revision.number)


def target(revisions: Sequence[Revision], number: int | None) -> Revision:
    """Choose what to return to.

    Args:
        revisions: All revisions, oldest first; the last one is applied now.
        number: The revision that is asked for; by default the newest of those before the last
            one that has served.

    Raises:
        InvalidManifest: There is no such revision.
    """
    if number is not None:
        for found in revisions:
            if found.number == number:
                return found
        raise InvalidManifest(
            f"there is no revision {number}", "`sentiment rollout status` lists them"
        )
    for found in reversed(revisions[:-1]):
        if found.outcome == "served":
            return found
    raise InvalidManifest(
        "no earlier revision has served", "apply the manifest of the release to return to"
    )


def surplus(revisions: Sequence[Revision]) -> list[Revision]:
    """Return the revisions to forget: the oldest, but never the last one that has served."""
    served = [found for found in revisions if found.outcome == "served"][-1:]
    return [found for found in revisions[:-KEPT] if found not in served]


def _read(found: Document) -> Revision:
    metadata = found["metadata"]
    annotations = metadata.get("annotations", {})
    return Revision(
        number=found["revision"],
        name=metadata["name"],
        outcome=annotations.get(_OUTCOME, ""),
        applied_at=annotations.get(_APPLIED_AT, ""),
        generation=int(annotations.get(_GENERATION, 0)),
        service=found["data"],
    )


def _applied_part(service: Document) -> Document:
    metadata = service["metadata"]
    annotations = {
        name: value
        for name, value in (metadata.get("annotations") or {}).items()
        if name != _APPLIED_BY_KUBECTL
    }
    parts = {"labels": metadata.get("labels"), "annotations": annotations}
    return {
        "apiVersion": service["apiVersion"],
        "kind": service["kind"],
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            **{name: part for name, part in parts.items() if part},
        },
        "spec": service["spec"],
    }
