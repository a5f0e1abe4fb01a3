from typing import Any

import pytest

from serve_app.errors import InvalidManifest
from serve_app.rollout import history
from serve_app.rollout.history import KEPT, Revision


def service(image: str = "a", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": "s", "namespace": "n", **metadata},
        "spec": {"image": image},
    }


def revisions(*outcomes: str) -> list[Revision]:
    return [
        history.revision(service(str(number)), number, outcome, "now", 7)
        for number, outcome in enumerate(outcomes, 1)
    ]


def test_a_revision_survives_being_written_and_read() -> None:
    written = revisions("served", "failed")
    documents = [history.document(revision, "uid") for revision in written]
    assert history.read(documents[::-1]) == written
    assert documents[0]["metadata"]["ownerReferences"][0]["uid"] == "uid"


def test_what_the_server_adds_is_no_part_of_a_revision() -> None:
    applied = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
    live = service(uid="1", resourceVersion="2", annotations=applied) | {"status": {"x": 1}}
    assert history.revision(live, 1, "served", "now", 7) == history.revision(
        service(), 1, "served", "now", 7
    )


def test_the_target_is_the_newest_before_the_last_that_has_served() -> None:
    assert history.target(revisions("served", "served", "failed", "served"), None).number == 2
    assert history.target(revisions("served", "failed", "applied"), None).number == 1
    assert history.target(revisions("served", "failed", "served"), 2).number == 2


@pytest.mark.parametrize("outcomes", [(), ("served",), ("failed", "served")])
def test_without_a_target_there_is_no_rollback(outcomes: tuple[str, ...]) -> None:
    with pytest.raises(InvalidManifest):
        history.target(revisions(*outcomes), None)


def test_the_oldest_are_forgotten_but_not_the_last_that_has_served() -> None:
    many = revisions("served", "served", *["failed"] * (KEPT + 1))
    assert [revision.number for revision in history.surplus(many)] == [1, 3]
    assert history.surplus(revisions(*["served"] * KEPT)) == []
