"""Calls to classifier replicas over a Ray Serve handle."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from ray.exceptions import RayActorError, RayError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from serve_app.classifier.reply import ChunkReply
from serve_app.errors import DeadlineExceeded, InferenceFailed, ModelUnavailable, Overloaded

# Scoring a text twice does no harm, so a call that a dying replica lost is made again.
ATTEMPTS: Final = 3


class ClassifierClient:
    """Turns what can happen to a call into the service's own errors.

    Args:
        handle: Handle of the classifier deployment.
    """

    def __init__(self, handle: DeploymentHandle[Any]) -> None:
        self._handle = handle.classify

    async def classify(self, texts: Sequence[str], within_s: float) -> ChunkReply:
        """Score one chunk of texts on some replica.

        Args:
            texts: At least one text.
            within_s: Seconds after which the answer is of no use.

        Raises:
            Overloaded: The queue to the replicas is full.
            DeadlineExceeded: No answer in time.
            ModelUnavailable: No replica runs, or every attempt lost its replica.
            InferenceFailed: The replica raised.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        for _ in range(ATTEMPTS):
            try:
                return await self._call(texts, deadline - loop.time())
            except RayActorError:
                continue
        raise ModelUnavailable("replicas were lost while they scored the texts")

    def replicas(self) -> int:
        """Return how many replicas run, as far as this process has been told.

        Ray's own `running_replicas_populated` stays true once it was true.
        """
        router: Any = self._handle._router
        return len(router._asyncio_router.request_router.curr_replicas) if router else 0

    async def _call(self, texts: Sequence[str], within_s: float) -> ChunkReply:
        response = self._handle.remote(list(texts), within_s)
        try:
            async with asyncio.timeout(within_s):
                reply: ChunkReply = await response
                return reply
        except TimeoutError:
            response.cancel()  # type: ignore[no-untyped-call]
            if not self.replicas():
                raise ModelUnavailable("no model replica is running") from None
            raise DeadlineExceeded("the model did not answer in time") from None
        except asyncio.CancelledError:
            response.cancel()  # type: ignore[no-untyped-call]
            raise
        except BackPressureError:
            raise Overloaded("too many texts wait for the model") from None
        except DeploymentUnavailableError:
            raise ModelUnavailable("the model's deployment failed") from None
        except (DeadlineExceeded, RayActorError):
            raise
        except RayError as error:
            raise InferenceFailed("a model replica failed on the texts") from error
