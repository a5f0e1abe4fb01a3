import pytest

from serve_app.errors import InvalidManifest, RolloutFailed, RolloutTimeout
from serve_app.rollout.rollout import Rollout
from tests.k8s.rollout.api_server import ApiServer
from tests.k8s.rollout.conftest import QUICK
from tests.k8s.rollout.operator import MISSING_IMAGE
from tests.k8s.rollout.release import FIRST, IMAGE, NAME, NAMESPACE, SECOND, release

THIRD = "3" * 64


def image(server: ApiServer) -> str:
    config = server.objects.stored["rayservices", NAMESPACE, NAME]["spec"]["rayClusterConfig"]
    return str(config["headGroupSpec"]["template"]["spec"]["containers"][0]["image"])


def test_a_rollback_returns_to_what_served_before(server: ApiServer, rollout: Rollout) -> None:
    rollout.apply(release(FIRST), QUICK)
    rollout.apply(release(SECOND), QUICK)
    rollout.rollback(None, QUICK)
    assert image(server) == f"{IMAGE}@sha256:{FIRST}"
    assert [(one.number, one.outcome) for one in rollout.revisions()] == [
        (2, "served"),
        (3, "served"),
    ]


def test_a_rollback_during_a_hanging_upgrade_says_what_it_means(
    server: ApiServer, rollout: Rollout, told: list[str]
) -> None:
    rollout.apply(release(FIRST), QUICK)
    with pytest.raises(RolloutFailed):
        rollout.apply(release(SECOND, image=MISSING_IMAGE), QUICK)
    told.clear()
    rollout.rollback(None, QUICK)
    assert told[1] == (
        "cluster sentiment-2 has not taken over yet and is given up; "
        "sentiment-1 serves until a new one of that revision does"
    )
    assert image(server) == f"{IMAGE}@sha256:{FIRST}"
    # KubeRay compares with the pending cluster, so that the old revision gets a third one.
    assert any("cluster sentiment-3 serves" in line for line in told)


def test_a_rollback_skips_what_has_never_served(server: ApiServer, rollout: Rollout) -> None:
    rollout.apply(release(FIRST), QUICK)
    rollout.apply(release(SECOND), QUICK)
    with pytest.raises(RolloutFailed):
        rollout.apply(release(THIRD, image=MISSING_IMAGE), QUICK)
    rollout.rollback(None, QUICK)
    assert image(server) == f"{IMAGE}@sha256:{SECOND}"


def test_a_revision_can_be_asked_for(server: ApiServer, rollout: Rollout) -> None:
    for digest in (FIRST, SECOND, THIRD):
        rollout.apply(release(digest), QUICK)
    rollout.rollback(1, QUICK)
    assert image(server) == f"{IMAGE}@sha256:{FIRST}"
    with pytest.raises(InvalidManifest, match="there is no revision 7"):
        rollout.rollback(7, QUICK)


def test_a_first_release_has_nothing_to_return_to(rollout: Rollout) -> None:
    rollout.apply(release(), QUICK)
    with pytest.raises(InvalidManifest, match="no earlier revision has served"):
        rollout.rollback(None, QUICK)


def test_what_another_tool_had_applied_can_be_returned_to(
    server: ApiServer, rollout: Rollout
) -> None:
    for document in release(FIRST).documents:
        server.put(document, "kubectl")
    while not server.operator.service_points_to:
        rollout._api.service(NAME, NAMESPACE)
    rollout._api.service(NAME, NAMESPACE)
    rollout.apply(release(SECOND), QUICK._replace(force=True))
    rollout.rollback(None, QUICK)
    assert image(server) == f"{IMAGE}@sha256:{FIRST}"


def test_a_release_that_came_to_serve_after_the_tool_had_given_up_can_be_returned_to(
    server: ApiServer, rollout: Rollout
) -> None:
    rollout.apply(release(FIRST), QUICK)
    hasty = QUICK._replace(limits=QUICK.limits._replace(timeout_s=0))
    with pytest.raises(RolloutTimeout):
        rollout.apply(release(SECOND), hasty)
    for _ in range(9):
        rollout._api.service(NAME, NAMESPACE)
    with pytest.raises(RolloutFailed):
        rollout.apply(release(THIRD, image=MISSING_IMAGE), QUICK)
    rollout.rollback(None, QUICK)
    assert image(server) == f"{IMAGE}@sha256:{SECOND}"


def test_only_the_last_revisions_are_kept(rollout: Rollout) -> None:
    for max_texts in range(101, 114):
        rollout.apply(release(max_texts=max_texts), QUICK)
    assert [one.number for one in rollout.revisions()] == list(range(4, 14))
