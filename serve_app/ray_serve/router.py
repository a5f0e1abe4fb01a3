"""Which replica takes a call."""

import random
from collections import Counter
from typing import Any

from ray.serve.request_router import (
    FIFOMixin,
    PendingRequest,
    ReplicaID,
    RequestRouter,
    RunningReplica,
)


class FewestCallsRouter(FIFOMixin, RequestRouter):
    """Sends a call to the replica that has the fewest calls of this process.

    Ray's own routers go by the queue that a replica reports as it takes a call. With a unary gRPC
    call the report comes with the answer, as gRPC's initial metadata do, and so is as old as the
    call was long; it replaces the router's own count all the same. One of two replicas idled for
    300 ms while the other had four calls.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Know of no calls yet."""
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self._calls: Counter[ReplicaID] = Counter()

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        """Return the replica with the fewest calls, and the others, should that one be full."""
        if pending_request:
            # Else Ray tries again without a pause while all are full.
            pending_request.routing_context.should_backoff = True
        shuffled = random.sample(candidate_replicas, len(candidate_replicas))
        ranked = sorted(shuffled, key=lambda replica: self._calls[replica.replica_id])
        return [ranked[:1], ranked[1:]]

    def on_send_request(self, replica_id: ReplicaID) -> None:
        """Count a call."""
        super().on_send_request(replica_id)
        self._calls[replica_id] += 1

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:
        """Count a call no longer, however it ended."""
        super().on_request_completed(replica_id, internal_request_id)
        self._calls[replica_id] -= 1
        if self._calls[replica_id] <= 0:
            del self._calls[replica_id]
