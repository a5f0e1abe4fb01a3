"""Calls from a gateway to classifier replicas, and the choice of the replica."""

import asyncio
import math
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from ray.exceptions import RayActorError, RayError
from ray.serve import request_router
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from serve_app import errors
from serve_app.scores import CallReply

# Scoring a text twice does no harm, so a call that a dying replica lost is made again.
ATTEMPTS: Final = 3
# While a model is replaced, replicas of either revision take calls; the next may be the right one.
OTHER_REVISION_PAUSE_S: Final = 0.02
# Longer than it takes to meet one of several, shorter than a caller likes to wait for nothing.
OTHER_REVISION_S: Final = 1.0


class ClassifierClient:
    """A client of the classifier deployment, for one model by its digest.

    It retries calls that a replica lost, and turns Ray's errors into the service's.
    """

    def __init__(self, handle: DeploymentHandle[Any], digest: str) -> None:
        self._handle = handle.classify_as
        self._digest = digest
        self._met = False

    async def classify(
        self, texts: Sequence[str], within_s: float, sizes: Sequence[int] = ()
    ) -> CallReply:
        """Score at least one text on one replica; see `Classifier`.

        Raises `Overloaded` if the queue to the replicas is full, `DeadlineExceeded` if no answer
        came in time, `InferenceFailed` if the replica raised, and `ModelUnavailable` if no replica
        runs, or every attempt lost its replica.

        Raises `RevisionMismatch` if only replicas of another model answered for `OTHER_REVISION_S`.
        If this model has answered before, its last replicas are gone, and a caller's next attempt
        reaches another gateway. Else they are yet to start: calls wait for them.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        lost, others_since = 0, math.inf
        while lost < ATTEMPTS:
            try:
                reply = await self._call(texts, deadline - loop.time(), sizes)
            except RayActorError:
                lost += 1
            except errors.RevisionMismatch:
                now = loop.time()
                others_since = min(others_since, now)
                gone = self._met and now - others_since >= OTHER_REVISION_S
                if gone or now + OTHER_REVISION_PAUSE_S >= deadline:
                    problem = "Only another revision of the model runs here."
                    raise errors.RevisionMismatch(problem) from None
                await asyncio.sleep(OTHER_REVISION_PAUSE_S)
            else:
                self._met = True
                return reply
        raise errors.ModelUnavailable("Replicas were lost while they scored the texts.")

    def replicas(self) -> int:
        """Return how many replicas run, as far as this process has been told."""
        # Ray's own `running_replicas_populated` stays true once it was true, and the property
        # `request_router` makes a router where there is none yet.
        router: Any = self._handle._router
        told = router._asyncio_router._request_router if router else None
        return len(told.curr_replicas) if told else 0

    async def _call(self, texts: Sequence[str], within_s: float, sizes: Sequence[int]) -> CallReply:
        response = self._handle.remote(self._digest, list(texts), within_s, list(sizes))
        try:
            async with asyncio.timeout(within_s):
                reply: CallReply = await response
                return reply
        except TimeoutError:
            response.cancel()  # type: ignore[no-untyped-call]
            if not self.replicas():
                raise errors.ModelUnavailable(errors.NO_REPLICA) from None
            raise errors.DeadlineExceeded(errors.NO_ANSWER) from None
        except asyncio.CancelledError:
            response.cancel()  # type: ignore[no-untyped-call]
            raise
        except BackPressureError:
            raise errors.Overloaded("Too many texts wait for the model.") from None
        except DeploymentUnavailableError:
            raise errors.ModelUnavailable("The model's deployment failed.") from None
        except (errors.DeadlineExceeded, errors.RevisionMismatch, RayActorError):
            raise
        except RayError as error:
            raise errors.InferenceFailed("A model replica failed on the texts.") from error


class FewestCallsRouter(request_router.FIFOMixin, request_router.RequestRouter):
    """A router to the replica with the fewest calls of this process.

    Ray's own routers go by the queue length that a replica reports when it takes a call. With a
    unary gRPC call the report comes with the answer, as gRPC's initial metadata do, so it is as old
    as the call was long, and it replaces the router's own count: one of two replicas idled for
    300 ms while the other one had four calls.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self._calls: Counter[request_router.ReplicaID] = Counter()

    async def choose_replicas(
        self,
        candidate_replicas: list[request_router.RunningReplica],
        pending_request: request_router.PendingRequest | None = None,
    ) -> list[list[request_router.RunningReplica]]:
        """Return the replica with the fewest calls, then the others in case it is full."""
        if pending_request:
            # Without it, Ray tries again without a pause while all replicas are full.
            pending_request.routing_context.should_backoff = True
        shuffled = random.sample(candidate_replicas, len(candidate_replicas))
        ranked = sorted(shuffled, key=lambda replica: self._calls[replica.replica_id])
        return [ranked[:1], ranked[1:]]

    def on_send_request(self, replica_id: request_router.ReplicaID) -> None:
        """Count a call."""
        super().on_send_request(replica_id)
        self._calls[replica_id] += 1

    def on_request_completed(
        self, replica_id: request_router.ReplicaID, internal_request_id: str
    ) -> None:
        """Stop counting a call, whether it failed or not."""
        super().on_request_completed(replica_id, internal_request_id)
        self._calls[replica_id] -= 1
        if self._calls[replica_id] <= 0:
            del self._calls[replica_id]
