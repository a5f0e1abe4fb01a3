"""Passes through the model in the traces of those who wait for them."""

from serve_app.classifier.scheduler import Pass
from serve_app.tracing.spans import shared_span


def trace_pass(done: Pass) -> None:
    """Record a pass in the trace of every call that has a text in it."""
    callers = {caller.span_id: caller for caller in done.origins if caller}
    tokens = sum(done.lengths)
    shared_span(
        "inference",
        list(callers.values()),
        done.inference_s,
        texts=len(done.lengths),
        tokens=tokens,
        padding=max(done.lengths) * len(done.lengths) - tokens,
    )
