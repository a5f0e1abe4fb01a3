"""What the flights of a request bring."""

from collections.abc import Container, Sequence
from typing import NamedTuple

from serve_app.fanout.flight import Flight
from serve_app.scores import TextLogits


class Landed(NamedTuple):
    """What became of the texts that a request asked for.

    Attributes:
        texts: One entry per key; None where the model failed on the text.
        queue_ms: Longest wait for a call and for an engine among them.
        inference_ms: Longest pass through the model among them.
    """

    texts: dict[bytes, TextLogits | None]
    queue_ms: float
    inference_ms: float


def landed(wanted: Container[bytes], flights: Sequence[Flight]) -> Landed:
    """Put together what the flights of a request have brought.

    Args:
        wanted: Keys of the texts that the request asked for.
        flights: What carries them; each has landed, or one has failed.

    Raises:
        ServiceError: A flight failed as a whole.
    """
    # Where one has failed, others may still be on their way: its error is the request's.
    replies = [flight.reply.result() for flight in sorted(flights, key=_succeeded)]
    texts = {
        key: text
        for flight, reply in zip(flights, replies, strict=True)
        for key, text in zip(flight.texts, reply.texts, strict=True)
        if key in wanted
    }
    return Landed(
        texts,
        max(
            flight.boarding_ms + reply.queue_ms
            for flight, reply in zip(flights, replies, strict=True)
        ),
        max(reply.inference_ms for reply in replies),
    )


def _succeeded(flight: Flight) -> bool:
    reply = flight.reply
    return not reply.done() or (not reply.cancelled() and reply.exception() is None)
