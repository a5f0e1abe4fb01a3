from types import SimpleNamespace
from typing import Any

import pytest
from ray.serve._private.common import DeploymentHandleSource, DeploymentID
from ray.serve._private.request_router.common import RequestRoutingContext
from ray.serve.request_router import ReplicaID

from serve_app.ray_serve.router import FewestCallsRouter

CLASSIFIER = DeploymentID(name="Classifier")
A, B, C = (ReplicaID(name, CLASSIFIER) for name in "abc")


@pytest.fixture
async def router() -> FewestCallsRouter:
    """Make a router as Ray does."""
    return FewestCallsRouter(
        deployment_id=CLASSIFIER,
        handle_source=DeploymentHandleSource.REPLICA,
        use_replica_queue_len_cache=True,
        prefer_local_node_routing=False,
        prefer_local_az_routing=True,
        self_availability_zone=None,
    )


async def chosen(router: FewestCallsRouter, *replicas: ReplicaID) -> list[list[ReplicaID]]:
    candidates: list[Any] = [SimpleNamespace(replica_id=each) for each in replicas]
    return [
        [replica.replica_id for replica in rank]
        for rank in await router.choose_replicas(candidates)
    ]


async def test_the_replica_with_the_fewest_calls_is_chosen(router: FewestCallsRouter) -> None:
    for replica in (A, A, B, C, C):
        router.on_send_request(replica)
    assert await chosen(router, A, B, C) in ([[B], [A, C]], [[B], [C, A]])


async def test_a_call_that_has_ended_counts_no_longer(router: FewestCallsRouter) -> None:
    for replica in (A, A, B):
        router.on_send_request(replica)
    for _ in range(2):
        router.on_request_completed(A, "")
    assert await chosen(router, A, B) == [[A], [B]]


async def test_what_a_replica_said_of_its_queue_is_not_believed(
    router: FewestCallsRouter,
) -> None:
    router.on_send_request(B)
    router.on_new_queue_len_info(A, 9)
    assert await chosen(router, A, B) == [[A], [B]]


async def test_more_ends_than_calls_make_no_debt(router: FewestCallsRouter) -> None:
    router.on_request_completed(A, "")
    router.on_send_request(A)
    assert await chosen(router, A, B) == [[B], [A]]


async def test_no_replica_is_preferred_to_its_equals(router: FewestCallsRouter) -> None:
    first = [(await chosen(router, A, B))[0][0] for _ in range(100)]
    assert set(first) == {A, B}


async def test_full_replicas_are_not_asked_without_a_pause(router: FewestCallsRouter) -> None:
    context = RequestRoutingContext()
    pending: Any = SimpleNamespace(routing_context=context)
    await router.choose_replicas([], pending)
    assert context.should_backoff
