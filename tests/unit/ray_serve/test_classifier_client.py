import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayActorError
from ray.serve._private.common import DeploymentHandleSource, DeploymentID
from ray.serve._private.request_router.common import RequestRoutingContext
from ray.serve.request_router import ReplicaID

from serve_app.errors import ModelUnavailable, RevisionMismatch
from serve_app.ray_serve import classifier_client as client_module
from serve_app.ray_serve.classifier_client import ATTEMPTS, ClassifierClient, FewestCallsRouter
from serve_app.scores import CallReply

OTHER = RevisionMismatch("another revision")
LOST = RayActorError()
REPLY = CallReply([], 0.0, 0.0)


class Handle:
    """A handle whose calls end, one after the other, in what it is given."""

    def __init__(self, *ends: CallReply | Exception) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._ends = list(ends)

    @property
    def classify_as(self) -> "Handle":
        return self

    def remote(self, *arguments: Any) -> Any:
        self.calls.append(arguments)
        return self._end(self._ends.pop(0) if len(self._ends) > 1 else self._ends[0])

    async def _end(self, end: CallReply | Exception) -> CallReply:
        if isinstance(end, Exception):
            raise end
        return end


async def test_a_call_that_meets_another_revision_is_made_again_until_it_meets_the_right_one() -> (
    None
):
    handle = Handle(*[OTHER] * (ATTEMPTS + 2), REPLY)
    client: Any = ClassifierClient(handle, "digest")  # type: ignore[arg-type]
    assert await client.classify(["good"], 9) is REPLY
    assert all(call[:2] == ("digest", ["good"]) for call in handle.calls)


async def test_without_a_replica_of_the_right_revision_the_model_is_unavailable() -> None:
    client: Any = ClassifierClient(Handle(OTHER), "digest")  # type: ignore[arg-type]
    with pytest.raises(ModelUnavailable):
        await client.classify(["good"], 0.05)


async def test_where_no_replica_of_the_revision_is_left_callers_are_sent_away_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_module, "OTHER_REVISION_S", 0.1)
    client: Any = ClassifierClient(Handle(REPLY, OTHER), "digest")  # type: ignore[arg-type]
    await client.classify(["good"], 60)
    with pytest.raises(RevisionMismatch) as sent_away:
        async with asyncio.timeout(10):
            await client.classify(["good"], 60)
    assert sent_away.value.headers["Retry-After"] == "1"


async def test_a_new_gateway_waits_for_the_first_replica_of_its_revision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_module, "OTHER_REVISION_S", 0.0)
    client: Any = ClassifierClient(Handle(OTHER, OTHER, REPLY), "digest")  # type: ignore[arg-type]
    assert await client.classify(["good"], 60) is REPLY


async def test_a_call_that_loses_its_replica_every_time_is_given_up() -> None:
    handle = Handle(LOST)
    client: Any = ClassifierClient(handle, "digest")  # type: ignore[arg-type]
    with pytest.raises(ModelUnavailable):
        await client.classify(["good"], 9)
    assert len(handle.calls) == ATTEMPTS


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
