"""Revisions of a RayService in ControllerRevisions that it owns, as Kubernetes keeps its own.

Only the RayService is recorded: a release changes nothing else, its ConfigMaps are named by their
content, and a Secret must not be copied.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from serve_app.errors import InvalidManifest
from serve_app.rollout.cluster import Api
from serve_app.rollout.kuberay import ServiceState, at
from serve_app.rollout.manifest import Document, without_server_fields

# As many as for a Deployment.
MAX_REVISIONS: Final = 10

_KIND: Final = ("apps/v1", "ControllerRevision")
_SERVICE_LABEL: Final = "sentiment-rollout/service"
_OUTCOME: Final = "sentiment-rollout/outcome"
_APPLIED_AT: Final = "sentiment-rollout/applied-at"
_GENERATION: Final = "sentiment-rollout/generation"


class Revision(BaseModel):
    """An applied RayService, read from its ControllerRevision.

    Its name is by content: the same RayService has the same one. The outcome is `applied` until it
    has served, then `served`; `failed`; or `silent` if it ran but did not predict. `applied_at` is
    ISO 8601; `generation` is the RayService's after it was applied.
    """

    model_config = ConfigDict(frozen=True, validate_by_name=True)

    number: int = Field(validation_alias="revision")
    name: str = at("metadata", "name")
    outcome: str = at("metadata", "annotations", _OUTCOME, default="")
    applied_at: str = at("metadata", "annotations", _APPLIED_AT, default="")
    generation: int = at("metadata", "annotations", _GENERATION, default=0)
    service: Document = Field(validation_alias="data")

    def document(self, owner_uid: str) -> Document:
        """Return the ControllerRevision, owned by the RayService of that uid."""
        metadata = self.service["metadata"]
        owner = {key: self.service[key] for key in ("apiVersion", "kind")}
        return {
            "apiVersion": _KIND[0],
            "kind": _KIND[1],
            "metadata": {
                "name": self.name,
                "namespace": metadata["namespace"],
                "labels": {_SERVICE_LABEL: metadata["name"]},
                "annotations": {
                    _OUTCOME: self.outcome,
                    _APPLIED_AT: self.applied_at,
                    _GENERATION: str(self.generation),
                },
                "ownerReferences": [owner | {"name": metadata["name"], "uid": owner_uid}],
            },
            "revision": self.number,
            "data": self.service,
        }


def revisions_of(api: Api) -> list[Revision]:
    """Return the recorded revisions of the RayService, oldest first."""
    found = api.find(*_KIND, label_selector=f"{_SERVICE_LABEL}={api.name}")
    return sorted(map(Revision.model_validate, found), key=lambda revision: revision.number)


def record(api: Api, service: Document, live: Document, outcome: str) -> Revision:
    """Record a RayService as the newest revision, and delete revisions beyond the maximum."""
    applied = without_server_fields(service)
    content = json.dumps(applied, sort_keys=True).encode()
    revision = Revision(
        number=max((earlier.number for earlier in revisions_of(api)), default=0) + 1,
        name=f"{api.name}-{hashlib.blake2b(content, digest_size=5).hexdigest()}",
        outcome=outcome,
        applied_at=datetime.now(UTC).isoformat(timespec="seconds"),
        generation=live["metadata"]["generation"],
        service=applied,
    )
    mark(api, revision, live, outcome)
    for old in surplus(revisions_of(api)):
        api.delete(old.document(live["metadata"]["uid"]))
    return revision


def mark(api: Api, revision: Revision, live: Document, outcome: str) -> None:
    """Record the outcome of a revision."""
    marked = revision.model_copy(update={"outcome": outcome})
    api.apply(marked.document(live["metadata"]["uid"]), force=True)


def record_serving(api: Api, live: Document) -> None:
    """Record that the live RayService serves, so that a rollback can return to it.

    The tool may have stopped before it served, or somebody else may have applied it.
    """
    state = ServiceState.model_validate(live)
    if not (state.serves and state.observed):
        return
    newest = next(reversed(revisions_of(api)), None)
    if newest is None or newest.generation != state.generation:
        record(api, live, live, "served")
    elif newest.outcome in {"applied", "failed"}:
        mark(api, newest, live, "served")


def rollback_target(revisions: Sequence[Revision], number: int | None) -> Revision:
    """Return the revision of that number; by default the newest earlier one that has served.

    Raises `InvalidManifest` if there is none.
    """
    for revision in reversed(revisions):
        earlier = revision is not revisions[-1] and revision.outcome == "served"
        if revision.number == number or (number is None and earlier):
            return revision
    if number is None:
        hint = "apply the manifest of the release to return to"
        raise InvalidManifest("no earlier revision has served", hint)
    raise InvalidManifest(f"there is no revision {number}", "`sentiment rollout status` lists them")


def surplus(revisions: Sequence[Revision]) -> list[Revision]:
    """Return the revisions to delete: the oldest, but never the last one that has served."""
    served = [revision for revision in revisions if revision.outcome == "served"][-1:]
    return [revision for revision in revisions[:-MAX_REVISIONS] if revision not in served]
