"""The production configuration, changed only in what the simulated engine needs."""

from typing import Final

from loadtest.answers import Margins, simulated_margins, texts_of_tokens
from loadtest.configs import PROD
from loadtest.generator import Stream
from loadtest.ray_service import GATEWAY, Bounds, RayService
from loadtest.traffic import Traffic
from serve_app.settings import SimulatedCost

# Logical CPUs, so that Ray places as many replicas as wanted on few real ones.
CLASSIFIER_CPUS: Final = 0.02
TOKENS: Final = 24
BATCH_TEXTS: Final = 10
CHUNK_TEXTS: Final = 5
# A full batch that is computed and the next one, twice: the router spreads calls by chance.
CALLS_PER_REPLICA: Final = 4 * BATCH_TEXTS // CHUNK_TEXTS
# A step to ten times the load leaves this many texts waiting while replicas start; the test is
# to see them answered, not refused.
PENDING_TEXTS: Final = 16_384
WAIT_S: Final = 120.0
# More than wait at any time, so that none comes again while it is computed.
TEXTS: Final = 20_000
# The engine rounds nothing; scores are written with the precision of float32.
TOLERANCE: Final = 1e-3
# For how long what is refused or lost is tried again.
DEADLINE_S: Final = 30.0


def simulated_service(cost: SimulatedCost, gateways: int, cpus: int) -> RayService:
    """Start Ray Serve with the service, which is not deployed yet."""
    # Ray's router asks a replica for the length of its queue only where it takes it to be full:
    # with room for many more calls than there are, one of two replicas was idle for seconds.
    room = 3 * CALLS_PER_REPLICA * gateways // 2
    service = RayService(
        PROD,
        {
            "model": "embedded",
            "engine": "simulated",
            "simulated": cost.model_dump(),
            "cache": "memory://",
        },
        gateway={
            "max_ongoing_requests": 2 * PENDING_TEXTS,
            "user_config": {
                "max_pending_texts": PENDING_TEXTS,
                "max_wait_s": WAIT_S,
                "chunk_texts": CHUNK_TEXTS,
                "max_calls_per_replica": CALLS_PER_REPLICA,
                "cache_memory_entries": 1,
            },
        },
        classifier={
            "ray_actor_options": {"num_cpus": CLASSIFIER_CPUS},
            "max_queued_requests": PENDING_TEXTS + 1,
            "max_ongoing_requests": room,
            "user_config": {
                "max_batch_requests": room,
                "max_batch_tokens": BATCH_TEXTS * TOKENS,
            },
        },
        cpus=cpus,
    )
    service.scale(GATEWAY, Bounds(gateways, gateways))
    return service


def known_answers(texts: int = TEXTS) -> Margins:
    """Return texts of `TOKENS` tokens with their right answers."""
    return simulated_margins(texts_of_tokens(texts, TOKENS))


def traffic(service: RayService, known: Margins, *streams: Stream) -> Traffic:
    """Return traffic on the service whose texts come in turn."""
    return Traffic(service.url, known, *streams, tolerance=TOLERANCE)
