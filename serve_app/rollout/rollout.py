"""The commands of a rollout: apply a release, roll back, show the status, show differences."""

from dataclasses import dataclass, field

from serve_app import errors
from serve_app.rollout import monitor
from serve_app.rollout.cluster import Api
from serve_app.rollout.history import mark, record, record_serving, revisions_of, rollback_target
from serve_app.rollout.kuberay import Impact, ServiceState, impact
from serve_app.rollout.manifest import Document, Manifest, difference, title
from serve_app.rollout.monitor import Goal, Limits, Progress


@dataclass(frozen=True)
class Rollout:
    """The commands on one RayService, which raise a `RolloutError` where they fail.

    The prediction at the end goes to `url`, where clients reach the service, with the API key; by
    default through the API server. `force` takes over fields that others have set.
    """

    api: Api
    progress: Progress
    url: str | None = None
    api_key: str | None = None
    force: bool = False
    limits: Limits = field(default=Limits())

    def __post_init__(self) -> None:
        """Refuse a wrong URL with a `StartupError` before anything is applied."""
        if self.url is not None and not self.url.startswith(("http://", "https://")):
            raise errors.StartupError(f"{self.url} is not a URL", "write https://host")

    def apply(self, wanted: Manifest) -> None:
        """Apply a manifest, wait until it serves, and check it with a prediction.

        The API server validates everything before anything is changed.
        """
        expected = self._dry_run(wanted)[-1]
        if live := self.api.service():
            record_serving(self.api, live)
        for document in wanted.documents[:-1]:
            self.api.apply(document, force=self.force)
            self.progress(f"applied {title(document)}")
        self._roll_out(wanted.service, expected)

    def rollback(self, number: int | None) -> None:
        """Apply a revision by its number, or the newest earlier one that has served, and wait."""
        live = self._live()
        record_serving(self.api, live)
        target = rollback_target(revisions_of(self.api), number)
        self.progress(f"returning to revision {target.number}, applied {target.applied_at}")
        state = ServiceState.model_validate(live)
        if state.pending.name:
            # The operator compares with the pending cluster, not with the one that serves.
            self.progress(
                f"cluster {state.pending.name} has not taken over yet and is given up; "
                f"{state.active.name or 'none'} serves until a new one of that revision does"
            )
        expected = self.api.apply(target.service, dry_run=True, force=self.force)
        self._roll_out(target.service, expected)

    def status(self, show: Progress) -> None:
        """Show what serves, what is in progress, and the recorded revisions, line by line.

        Raises `RolloutFailed` if the specification that was applied last will not serve, and
        `RolloutTimeout` if it does not serve yet.
        """
        live = self._live()
        state = ServiceState.model_validate(live)
        goal = Goal(state.generation, resource_version="")
        snapshot = monitor.take_snapshot(self.api, goal, live)
        show(f"RayService {self.api.name}, generation {state.generation}")
        for revision in revisions_of(self.api):
            show(f"revision {revision.number}  {revision.applied_at}  {revision.outcome}")
        for condition in state.conditions:
            show(f"{condition.type}={condition.status}  {condition.reason}: {condition.message}")
        for warning in snapshot.warnings:
            show(f"the operator warned: {warning}")
        evaluator = monitor.Evaluator(goal, Limits(settle_s=0, patience_s=0))
        try:
            text = evaluator.evaluate(snapshot)
        except errors.RolloutRefused as error:
            raise errors.RolloutFailed(error.problem, error.hint) from None
        if not evaluator.complete:
            raise errors.RolloutTimeout(text)
        show(text)

    def differences(self, wanted: Manifest) -> str:
        """Return what a manifest would change, as a diff; report what the operator would do."""
        diffs = []
        for document, after in zip(wanted.documents, self._dry_run(wanted), strict=True):
            before = self.api.get(document)
            diffs.append(difference(before, after))
            if document is wanted.service:
                self.progress(f"RayService {self.api.name}: {impact(before, after)}")
        return "".join(diffs)

    def _live(self) -> Document:
        if live := self.api.service():
            return live
        name, namespace = self.api.name, self.api.namespace
        raise errors.InvalidManifest(f"there is no RayService {name} in namespace {namespace}")

    def _dry_run(self, wanted: Manifest) -> list[Document]:
        """Return the documents as they would be stored."""
        # The API server cannot validate what is in a namespace that the manifest creates.
        new_namespaces = {
            document["metadata"]["name"]
            for document in wanted.documents
            if document["kind"] == "Namespace" and self.api.get(document) is None
        }
        return [
            document
            if document["metadata"].get("namespace") in new_namespaces
            else self.api.apply(document, dry_run=True, force=self.force)
            for document in wanted.documents
        ]

    def _roll_out(self, service: Document, expected: Document) -> None:
        before = self.api.service()
        effect = impact(before, expected)
        self.progress(f"RayService {self.api.name}: {effect}")
        warnings = self.api.warnings()
        submitted = None
        if before and effect is Impact.IN_PLACE:
            old, new = (each["spec"].get("serveConfigV2") for each in (before, expected))
            submitted = self.api.config_submitted() if old != new else None
        live = self.api.apply(service, force=self.force)
        revision = record(self.api, service, live, "applied")
        metadata = live["metadata"]
        goal = Goal(metadata["generation"], metadata["resourceVersion"], warnings, submitted)
        try:
            if effect is Impact.IGNORED:
                raise errors.RolloutFailed(effect, "set upgradeStrategy.type to NewCluster")
            monitor.wait(self.api, goal, self.limits, self.progress)
            self.progress(monitor.predict(self.api, self.url, self.api_key, self.limits.predict_s))
        except errors.PredictionFailed:
            mark(self.api, revision, live, "silent")
            raise
        except (errors.RolloutFailed, errors.RolloutRefused):
            mark(self.api, revision, live, "failed")
            raise
        mark(self.api, revision, live, "served")
        self.progress(f"revision {revision.number} serves")
