"""Applying a release, and returning to the one before."""

from datetime import UTC, datetime
from typing import NamedTuple

from serve_app.errors import (
    InvalidManifest,
    PredictionFailed,
    RolloutFailed,
    RolloutRefused,
    RolloutTimeout,
)
from serve_app.rollout import history, prediction, status
from serve_app.rollout.changes import Impact, difference, impact
from serve_app.rollout.cluster import Api
from serve_app.rollout.evaluate import Failed, Goal, Judge, Working
from serve_app.rollout.history import Revision
from serve_app.rollout.manifest import Document, Manifest
from serve_app.rollout.monitor import Limits, Report, Watch
from serve_app.rollout.status import ServiceState


class Options(NamedTuple):
    """How to apply.

    Attributes:
        limits: How long to wait.
        url: Where clients reach the service, for the prediction at the end; by default it is
            asked for through the API server.
        force: Take over fields that others have set.
        api_key: For the prediction, where the service asks for one.
    """

    limits: Limits = Limits()
    url: str | None = None
    force: bool = False
    api_key: str | None = None


class Rollout:
    """Brings one RayService from one release to another.

    Args:
        api: The API server.
        name: Of the RayService.
        namespace: Of the RayService.
        report: Told of the progress, line by line.
    """

    def __init__(self, api: Api, name: str, namespace: str, report: Report) -> None:
        self._api = api
        self._name = name
        self._namespace = namespace
        self._report = report
        self._watch = Watch(api, name, namespace)

    def apply(self, wanted: Manifest, options: Options) -> None:
        """Apply a manifest, wait until it serves, and prove it by a prediction.

        Everything is validated by the API server before anything is changed.

        Raises:
            RolloutError: See its subclasses; what served before still serves.
        """
        ask = self._ask(options)
        expected = self._validated(wanted, options)
        self._remember()
        for document in wanted.others:
            self._api.apply(document, force=options.force)
            self._report(f"applied {document['kind']} {document['metadata']['name']}")
        self._roll(wanted.service, expected, ask, options)

    def rollback(self, number: int | None, options: Options) -> None:
        """Apply an earlier revision of the RayService, and wait as `apply` does.

        Args:
            number: The revision; by default the last one that has served before this one.
            options: See `Options`.

        Raises:
            InvalidManifest: There is no such revision.
            RolloutError: See `apply`.
        """
        ask = self._ask(options)
        state = self._remember()
        if state is None:
            raise InvalidManifest(f"there is no RayService {self._name} in {self._namespace}")
        chosen = history.target(self.revisions(), number)
        self._report(f"returning to revision {chosen.number}, applied {chosen.applied_at}")
        if state.pending.name:
            # The operator compares with the pending cluster, not with the one that serves.
            self._report(
                f"cluster {state.pending.name} has not taken over yet and is given up; "
                f"{state.active.name or 'none'} serves until a new one of that revision does"
            )
        expected = self._api.apply(chosen.service, dry_run=True, force=options.force)
        self._roll(chosen.service, expected, ask, options)

    def revisions(self) -> list[Revision]:
        """Return the RayService's revisions, oldest first."""
        labels = history.selector(self._name)
        return history.read(
            self._api.find(history.API_VERSION, history.KIND, self._namespace, labels=labels)
        )

    def status(self, show: Report) -> None:
        """Show what serves, what is under way, and which revisions there are.

        Args:
            show: Takes the result, line by line.

        Raises:
            InvalidManifest: There is no such RayService.
            RolloutFailed: What was applied last will not come to serve.
            RolloutTimeout: What was applied last does not serve yet.
        """
        sight = self._watch.look()
        state = sight.service
        if state is None:
            raise InvalidManifest(f"there is no RayService {self._name} in {self._namespace}")
        show(f"RayService {self._name}, generation {state.metadata.generation}")
        for revision in self.revisions():
            show(f"revision {revision.number}  {revision.applied_at}  {revision.outcome}")
        for condition in state.status.conditions:
            show(f"{condition.type}={condition.status}  {condition.reason}: {condition.message}")
        for warning in sight.warnings:
            show(f"the operator warned: {warning}")
        goal = Goal(state.metadata.generation, resource_version="")
        verdict = Judge(goal, settle_s=0, patience_s=0).look(sight)
        if isinstance(verdict, Failed):
            raise RolloutFailed(verdict.text, verdict.hint)
        if isinstance(verdict, Working):
            raise RolloutTimeout(verdict.text)
        show(verdict.text)

    def differences(self, wanted: Manifest, *, force: bool) -> str:
        """Return what a manifest would change, as a diff; report what the operator would do.

        Raises:
            RolloutError: The API server refuses a document or does not answer.
        """
        missing = self._missing_namespaces(wanted)
        parts = []
        for document in wanted.documents:
            metadata = document["metadata"]
            before = self._api.get(
                document["apiVersion"],
                document["kind"],
                metadata["name"],
                metadata.get("namespace"),
            )
            after = document
            if metadata.get("namespace") not in missing:
                after = self._api.apply(document, dry_run=True, force=force)
            parts.append(difference(before, after))
            if document is wanted.service:
                self._report(f"RayService {self._name}: {impact(before, after).value}")
        return "".join(parts)

    def _validated(self, wanted: Manifest, options: Options) -> Document:
        """Return what the RayService will be, or raise before anything has changed."""
        missing = self._missing_namespaces(wanted)
        for document in wanted.others:
            if document["metadata"].get("namespace") not in missing:
                self._api.apply(document, dry_run=True, force=options.force)
        if self._namespace in missing:
            return wanted.service
        return self._api.apply(wanted.service, dry_run=True, force=options.force)

    def _missing_namespaces(self, wanted: Manifest) -> frozenset[str]:
        """Return the namespaces that the manifest makes; what is in them cannot be tried."""
        names = [one["metadata"]["name"] for one in wanted.others if one["kind"] == "Namespace"]
        return frozenset(
            name for name in names if self._api.get("v1", "Namespace", name, None) is None
        )

    def _roll(
        self, service: Document, expected: Document, ask: prediction.Ask, options: Options
    ) -> None:
        before = self._api.service(self._name, self._namespace)
        effect = impact(before, expected)
        self._report(f"RayService {self._name}: {effect.value}")
        self._watch.begin()
        goal_submitted = None
        if effect is Impact.IN_PLACE and before and _config(before) != _config(expected):
            goal_submitted = self._watch.submitted()
        applied = self._api.apply(service, force=options.force)
        revision = self._record(service, applied, "applied")
        goal = Goal(
            generation=applied["metadata"]["generation"],
            resource_version=applied["metadata"]["resourceVersion"],
            submitted_after=goal_submitted,
        )
        try:
            if effect is Impact.IGNORED:
                raise RolloutFailed(effect.value, "set upgradeStrategy.type to NewCluster")
            self._watch.until_done(goal, options.limits, self._report)
            self._report(prediction.predict(ask, options.limits.predict_s))
        except (RolloutFailed, RolloutRefused):
            self._keep(revision._replace(outcome="failed"), applied)
            raise
        except PredictionFailed:
            self._keep(revision._replace(outcome="silent"), applied)
            raise
        self._keep(revision._replace(outcome="served"), applied)
        self._report(f"revision {revision.number} serves")

    def _ask(self, options: Options) -> prediction.Ask:
        if options.url is None:
            return prediction.by_api(self._api, self._name, self._namespace)
        return prediction.by_url(options.url, options.api_key)

    def _remember(self) -> ServiceState | None:
        """Record that what serves now has served, so that one can return to it.

        It may have come to serve after the tool had stopped looking, or be the work of another.

        Returns:
            The RayService; None if there is none.
        """
        live = self._api.service(self._name, self._namespace)
        if live is None:
            return None
        state = status.read(live)
        if state.serves and state.observed and not state.upgrading:
            newest = next(reversed(self.revisions()), None)
            if newest is None or newest.generation != state.metadata.generation:
                self._record(live, live, "served")
            elif newest.outcome in {"applied", "failed"}:
                self._keep(newest._replace(outcome="served"), live)
        return state

    def _record(self, service: Document, live: Document, outcome: str) -> Revision:
        revisions = self.revisions()
        number = revisions[-1].number + 1 if revisions else 1
        now = datetime.now(UTC).isoformat(timespec="seconds")
        generation = live["metadata"]["generation"]
        revision = history.revision(service, number, outcome, now, generation)
        self._keep(revision, live)
        for old in history.surplus(self.revisions()):
            self._api.delete(history.API_VERSION, history.KIND, old.name, self._namespace)
        return revision

    def _keep(self, revision: Revision, live: Document) -> None:
        self._api.apply(history.document(revision, live["metadata"]["uid"]), force=True)


def _config(service: Document) -> str:
    return str(service["spec"].get("serveConfigV2", ""))
