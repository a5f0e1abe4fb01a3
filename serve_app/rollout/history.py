"""Revisions of a RayService, kept as Kubernetes keeps those of its own workloads.

Each applied RayService is recorded in a ControllerRevision that the RayService owns, so that both
are deleted together. Only the RayService is recorded: a release changes nothing else, its
ConfigMaps are named by their content, and a Secret must not be copied.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple, Self

from serve_app.errors import InvalidManifest
from serve_app.rollout.cluster import Api
from serve_app.rollout.kuberay import ServiceState
from serve_app.rollout.manifest import APPLIED_BY_KUBECTL, Document

# As many as for a Deployment.
MAX_REVISIONS: Final = 10

_API_VERSION: Final = "apps/v1"
_KIND: Final = "ControllerRevision"
_SERVICE_LABEL: Final = "sentiment-rollout/service"
_OUTCOME: Final = "sentiment-rollout/outcome"
_APPLIED_AT: Final = "sentiment-rollout/applied-at"
_GENERATION: Final = "sentiment-rollout/generation"


class Revision(NamedTuple):
    """An applied RayService.

    Attributes:
        number: One more than that of the revision before.
        name: Name of the ControllerRevision, by content: the same RayService has the same one.
        outcome: `applied` until it has served, then `served`; `failed`; or `silent` if it ran but
            did not predict.
        applied_at: When it was last applied, ISO 8601.
        generation: The RayService's generation after it was applied.
        service: The RayService as it was applied.
    """

    number: int
    name: str
    outcome: str
    applied_at: str
    generation: int
    service: Document

    @classmethod
    def create(
        cls, service: Document, number: int, outcome: str, applied_at: str, generation: int
    ) -> Self:
        """Return the revision of a RayService; what the API server and kubectl add is left out."""
        metadata = service["metadata"]
        annotations = dict(metadata.get("annotations") or {})
        annotations.pop(APPLIED_BY_KUBECTL, None)
        kept = {name: metadata.get(name) for name in ("name", "namespace", "labels")}
        applied = {
            "apiVersion": service["apiVersion"],
            "kind": service["kind"],
            "metadata": {k: v for k, v in (kept | {"annotations": annotations}).items() if v},
            "spec": service["spec"],
        }
        content = json.dumps(applied, sort_keys=True).encode()
        digest = hashlib.blake2b(content, digest_size=5).hexdigest()
        name = f"{metadata['name']}-{digest}"
        return cls(number, name, outcome, applied_at, generation, applied)

    @classmethod
    def from_document(cls, document: Document) -> Self:
        """Read a revision from its ControllerRevision."""
        annotations = document["metadata"].get("annotations", {})
        return cls(
            number=document["revision"],
            name=document["metadata"]["name"],
            outcome=annotations.get(_OUTCOME, ""),
            applied_at=annotations.get(_APPLIED_AT, ""),
            generation=int(annotations.get(_GENERATION, 0)),
            service=document["data"],
        )

    def document(self, owner_uid: str) -> Document:
        """Return the ControllerRevision, owned by the RayService of that uid."""
        metadata = self.service["metadata"]
        owner = {key: self.service[key] for key in ("apiVersion", "kind")}
        return {
            "apiVersion": _API_VERSION,
            "kind": _KIND,
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


class History:
    """The recorded revisions of a RayService."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def revisions(self) -> list[Revision]:
        """Return the revisions, oldest first."""
        selector = f"{_SERVICE_LABEL}={self._api.name}"
        found = self._api.find(_API_VERSION, _KIND, label_selector=selector)
        return sorted(map(Revision.from_document, found), key=lambda revision: revision.number)

    def record(self, service: Document, live: Document, outcome: str) -> Revision:
        """Record a RayService as the newest revision, and delete revisions beyond the maximum."""
        revisions = self.revisions()
        number = revisions[-1].number + 1 if revisions else 1
        now = datetime.now(UTC).isoformat(timespec="seconds")
        revision = Revision.create(service, number, outcome, now, live["metadata"]["generation"])
        self.mark(revision, live, outcome)
        for old in surplus(self.revisions()):
            self._api.delete(old.document(live["metadata"]["uid"]))
        return revision

    def mark(self, revision: Revision, live: Document, outcome: str) -> None:
        """Record the outcome of a revision."""
        marked = revision._replace(outcome=outcome)
        self._api.apply(marked.document(live["metadata"]["uid"]), force=True)

    def record_serving(self, live: Document) -> None:
        """Record that the live RayService serves, so that a rollback can return to it.

        The tool may have stopped before it served, or somebody else may have applied it.
        """
        state = ServiceState.model_validate(live)
        if not (state.serves and state.observed):
            return
        newest = next(reversed(self.revisions()), None)
        if newest is None or newest.generation != state.generation:
            self.record(live, live, "served")
        elif newest.outcome in {"applied", "failed"}:
            self.mark(newest, live, "served")


def rollback_target(revisions: Sequence[Revision], number: int | None) -> Revision:
    """Return the revision of that number; by default the newest earlier one that has served.

    Raises:
        InvalidManifest: There is no such revision.
    """
    if number is not None:
        found = [revision for revision in revisions if revision.number == number]
        problem, hint = f"there is no revision {number}", "`sentiment rollout status` lists them"
    else:
        found = [revision for revision in revisions[:-1] if revision.outcome == "served"]
        problem = "no earlier revision has served"
        hint = "apply the manifest of the release to return to"
    if not found:
        raise InvalidManifest(problem, hint)
    return found[-1]


def surplus(revisions: Sequence[Revision]) -> list[Revision]:
    """Return the revisions to delete: the oldest, but never the last one that has served."""
    served = [revision for revision in revisions if revision.outcome == "served"][-1:]
    return [revision for revision in revisions[:-MAX_REVISIONS] if revision not in served]
