"""The rollout tool and its stand-ins against the real manifests and schemas."""

from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import yaml

from serve_app.errors import InvalidManifest
from serve_app.rollout.cluster import connect
from serve_app.rollout.history import Revision
from serve_app.rollout.manifest import Manifest, check_images, parse
from serve_app.rollout.rollout import Rollout
from tests.k8s.conftest import Render
from tests.k8s.rollout.api_server import ApiServer
from tests.k8s.rollout.conftest import QUICK
from tests.k8s.rollout.release import FIRST, NAME, NAMESPACE, SECOND, release
from tests.k8s.schemas import custom_schema, violations


@pytest.fixture
def production(rendered: Render) -> Manifest:
    return parse(yaml.safe_dump_all(rendered("prod")))


def pinned(manifest: Manifest, digest: str) -> Manifest:
    return parse(yaml.safe_dump_all(manifest.documents).replace("0" * 64, digest))


def test_the_committed_overlay_is_refused_until_its_image_is_named(production: Manifest) -> None:
    with pytest.raises(InvalidManifest, match="placeholder of zeros"):
        check_images(production, allow_tags=True)
    check_images(pinned(production, FIRST), allow_tags=False)


def test_the_production_overlay_is_rolled_out_and_upgraded(
    server: ApiServer, progress: list[str], production: Manifest
) -> None:
    api = connect(production.name, production.namespace)
    rollout = Rollout(api, progress.append, limits=QUICK)
    rollout.apply(pinned(production, FIRST))
    rollout.apply(pinned(production, SECOND))
    assert server.applied[0] == f"Namespace {production.namespace}"
    assert progress[-1] == "revision 2 serves"


def test_the_operator_of_these_tests_writes_statuses_that_its_schema_allows(
    server: ApiServer, rollout: Rollout, crds: Path
) -> None:
    schema = custom_schema(crds, "ray.io/v1", "RayService")["properties"]["status"]
    validator = jsonschema.Draft202012Validator(schema)
    statuses = []

    def keep(line: str) -> None:
        found = server.objects.stored.get(("rayservices", NAMESPACE, NAME), {})
        statuses.append(found.get("status", {}))

    replace(rollout, progress=keep).apply(release())
    replace(rollout, progress=keep).apply(release(SECOND))
    assert len(statuses) > 9
    assert [error.message for status in statuses for error in validator.iter_errors(status)] == []


def test_revisions_are_valid_objects_of_kubernetes(crds: Path) -> None:
    revision = Revision(
        number=1,
        name="sentiment-0123456789",
        outcome="served",
        applied_at="2026-11-23T00:00:00+00:00",
        generation=1,
        service=release().service,
    )
    assert list(violations(revision.document("uid"), crds)) == []
