from typing import Any

import pytest
import yaml

from serve_app.errors import InvalidManifest
from serve_app.rollout.manifest import Manifest, check_images, parse

DIGEST = "sha256:" + "1a" * 32


def service(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": "s", "namespace": "n"},
        "spec": spec,
    }


def manifest(*documents: Any) -> Manifest:
    return parse(yaml.safe_dump_all(documents))


def thing(kind: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": kind.lower()}}


def test_what_others_need_comes_first_and_the_service_last() -> None:
    parsed = manifest(thing("Service"), service(), thing("Namespace"), None, thing("ConfigMap"))
    kinds = [document["kind"] for document in parsed.documents]
    assert kinds == ["Namespace", "Service", "ConfigMap", "RayService"]
    assert (parsed.namespace, parsed.name) == ("n", "s")


@pytest.mark.parametrize(
    ("documents", "problem"),
    [
        ([thing("Service")], "holds 0 RayServices"),
        ([service(), service()], "holds 2 RayServices"),
        ([service(), {"kind": "Service"}], "document 2 of the manifest has no apiVersion"),
        ([service(), "text"], "document 2 of the manifest has no apiVersion"),
        ([service() | {"metadata": {"name": "s"}}], "no namespace"),
    ],
)
def test_a_manifest_that_is_not_one_release_is_refused(documents: Any, problem: str) -> None:
    with pytest.raises(InvalidManifest, match=problem):
        manifest(*documents)


def test_what_is_no_yaml_is_refused_in_one_line() -> None:
    with pytest.raises(InvalidManifest) as refusal:
        parse("a: [\n")
    assert "\n" not in refusal.value.problem


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        ("r.io/a@sha256:" + "0" * 64, "placeholder of zeros"),
        ("r.io/a", "not pinned"),
        ("r.io/a:1.0", "not pinned"),
        ("r.io/a@sha256:123", "not pinned"),
    ],
)
def test_an_image_that_does_not_name_its_content_is_refused(image: str, problem: str) -> None:
    deep = service(group=[{"template": {"spec": {"initContainers": [{"image": image}]}}}])
    with pytest.raises(InvalidManifest, match=f"RayService s: .*{problem}"):
        check_images(manifest(deep), allow_tags=False)


def test_a_digest_is_accepted_in_every_document_and_a_tag_when_allowed() -> None:
    pinned = thing("StatefulSet") | {"spec": {"image": f"r.io/redis:8@{DIGEST}"}}
    check_images(manifest(service(image=f"r.io/a@{DIGEST}"), pinned), allow_tags=False)
    check_images(manifest(service(image="r.io/a:1.0")), allow_tags=True)


def test_zeros_are_refused_even_where_tags_are_allowed() -> None:
    with pytest.raises(InvalidManifest, match="placeholder"):
        check_images(manifest(service(image="a@sha256:" + "0" * 64)), allow_tags=True)


def test_an_image_volume_is_no_image_reference_of_a_container() -> None:
    check_images(manifest(service(volumes=[{"image": {"pullPolicy": "Never"}}])), allow_tags=False)
