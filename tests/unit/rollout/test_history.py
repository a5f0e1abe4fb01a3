import pytest

from serve_app.errors import InvalidManifest
from serve_app.rollout.history import MAX_REVISIONS, Revision, rollback_target, surplus

SERVICE = {
    "apiVersion": "ray.io/v1",
    "kind": "RayService",
    "metadata": {"name": "s", "namespace": "n"},
    "spec": {"image": "a"},
}


def revisions(*outcomes: str) -> list[Revision]:
    return [
        Revision(
            number=number,
            name=f"s-{number}",
            outcome=outcome,
            applied_at="now",
            generation=7,
            service=SERVICE,
        )
        for number, outcome in enumerate(outcomes, 1)
    ]


def test_a_revision_survives_being_written_and_read() -> None:
    written = revisions("served", "failed")
    documents = [revision.document("uid") for revision in written]
    assert [Revision.model_validate(document) for document in documents] == written
    assert documents[0]["metadata"]["ownerReferences"][0]["uid"] == "uid"


def test_a_rollback_returns_to_the_newest_earlier_revision_that_has_served() -> None:
    assert rollback_target(revisions("served", "served", "failed", "served"), None).number == 2
    assert rollback_target(revisions("served", "failed", "applied"), None).number == 1
    assert rollback_target(revisions("served", "failed", "served"), 2).number == 2


@pytest.mark.parametrize("outcomes", [(), ("served",), ("failed", "served")])
def test_a_rollback_needs_an_earlier_revision_that_has_served(outcomes: tuple[str, ...]) -> None:
    with pytest.raises(InvalidManifest):
        rollback_target(revisions(*outcomes), None)


def test_the_oldest_revisions_are_deleted_but_not_the_last_one_that_has_served() -> None:
    many = revisions("served", "served", *["failed"] * (MAX_REVISIONS + 1))
    assert [revision.number for revision in surplus(many)] == [1, 3]
    assert surplus(revisions(*["served"] * MAX_REVISIONS)) == []
