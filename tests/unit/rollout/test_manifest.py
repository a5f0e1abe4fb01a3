from typing import Any

import pytest
import yaml

from serve_app.errors import InvalidManifest
from serve_app.rollout.manifest import (
    Manifest,
    check_images,
    difference,
    parse,
    without_server_fields,
)

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


def test_namespaces_are_applied_first_and_the_service_last() -> None:
    parsed = manifest(thing("Service"), service(), thing("Namespace"), None, thing("ConfigMap"))
    kinds = [document["kind"] for document in parsed.documents]
    assert kinds == ["Namespace", "Service", "ConfigMap", "RayService"]
    assert (parsed.namespace, parsed.name) == ("n", "s")


@pytest.mark.parametrize(
    ("documents", "problem"),
    [
        ([thing("Service")], "has 0 RayServices"),
        ([service(), service()], "has 2 RayServices"),
        ([service(), {"kind": "Service"}], "document 2 of the manifest has no apiVersion"),
        ([service(), "text"], "document 2 of the manifest has no apiVersion"),
        ([service() | {"metadata": {"name": "s"}}], "no namespace"),
    ],
)
def test_a_manifest_without_exactly_one_service_is_refused(documents: Any, problem: str) -> None:
    with pytest.raises(InvalidManifest, match=problem):
        manifest(*documents)


def test_invalid_yaml_is_refused_in_one_line() -> None:
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


def test_a_digest_of_zeros_is_refused_even_where_tags_are_allowed() -> None:
    with pytest.raises(InvalidManifest, match="placeholder"):
        check_images(manifest(service(image="a@sha256:" + "0" * 64)), allow_tags=True)


def test_an_image_volume_is_not_taken_for_an_image_reference() -> None:
    check_images(manifest(service(volumes=[{"image": {"pullPolicy": "Never"}}])), allow_tags=False)


def secret(value: str, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "token", **metadata},
        "data": {"token": value, "same": "c2FtZQ=="},
    }


def test_what_the_server_and_kubectl_add_is_left_out() -> None:
    applied = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
    live = service() | {"status": {"x": 1}}
    live["metadata"] |= {"uid": "1", "resourceVersion": "2", "annotations": applied}
    assert without_server_fields(live) == service()


def test_a_diff_leaves_out_what_the_server_writes() -> None:
    live = secret("YQ==", uid="1", generation=3, managedFields=[{}]) | {"status": {}}
    assert difference(live, secret("YQ==")) == ""


def test_a_diff_hides_the_values_of_a_secret() -> None:
    shown = difference(secret("YQ=="), secret("Yg=="))
    assert "+  token: hidden, changed" in shown
    assert "-  same" not in shown
    assert "YQ==" not in shown
    assert "Yg==" not in shown


def test_a_diff_shows_all_of_a_new_object() -> None:
    shown = difference(None, {"kind": "Namespace", "metadata": {"name": "n"}})
    assert shown.splitlines()[0] == "--- Namespace n (live)"
    assert "+kind: Namespace" in shown


def test_a_diff_compares_a_serve_configuration_line_by_line() -> None:
    before, after = (
        service(serveConfigV2=f"applications:\n- name: a\n  max_texts: {max_texts}\n")
        for max_texts in (1, 2)
    )
    lines = difference(before, after).splitlines()[3:]
    changed = [line for line in lines if line[0] in "+-"]
    assert changed == ["-      max_texts: 1", "+      max_texts: 2"]
