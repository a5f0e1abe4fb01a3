"""A plan in words, with what its figures rest on."""

from typing import Final

from serve_app.capacity.calculator import Load, Speed, plan
from serve_app.capacity.table import NODE_SIZE, NODES_MOST, POD_CPUS, PODS_MOST
from serve_app.settings import ScalingSettings

# `sentiment capacity --measure embedded`, on the machine of the README's figures.
TOKENS_PER_S: Final = 10_400.0
TOKENS_SOURCE: Final = "the embedded model on onnx-int8, measured on the README's machine"
# `python -m loadtest.scale gateway`: 1.02 ms a request of one text, 4.82 ms one of 16.
GATEWAY_REQUEST_MS: Final = 0.77
GATEWAY_TEXT_MS: Final = 0.25


def report(load: Load, tokens_per_s: float, source: str) -> str:
    """Return what a load needs, a line for each part.

    Args:
        load: What clients send.
        tokens_per_s: What one classifier replica computes each second.
        source: Where that figure comes from.
    """
    utilization = ScalingSettings().target_utilization
    needs = plan(load, Speed(tokens_per_s, GATEWAY_REQUEST_MS, GATEWAY_TEXT_MS), utilization)
    lines = [
        f"gateways     {needs.gateways:4}   used by {needs.gateway_use:.0%}",
        f"classifiers  {needs.classifiers:4}   used by {needs.classifier_use:.0%}",
        f"worker pods  {needs.pods:4}   {POD_CPUS} CPUs each for replicas",
        f"nodes        {needs.nodes:4}   {NODE_SIZE}, one pod each; twice as many in an upgrade",
        "",
        "This rests on",
        f"  {tokens_per_s:,.0f} tokens/s a classifier: {source}",
        f"  {GATEWAY_REQUEST_MS:g} ms of CPU a request and {GATEWAY_TEXT_MS:g} ms a text in the "
        "gateway: make scale",
        f"  {1 - utilization:.0%} headroom: target_utilization is {utilization:g}",
        "  at least as many replicas as keep two pods busy",
    ]
    if not needs.fits:
        lines.append(f"It exceeds the limit of {PODS_MOST} pods: raise PODS_MOST in the table.")
    elif not needs.fits_an_upgrade:
        lines.append(f"An upgrade would need more than the limit of {NODES_MOST} nodes.")
    return "\n".join(lines)
