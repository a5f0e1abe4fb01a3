"""A plan in words, with what its figures rest on."""

from serve_app.capacity.calculator import Load, plan
from serve_app.capacity.figures import GATEWAY
from serve_app.capacity.table import NODE_SIZE, NODES_MOST, POD_CPUS, PODS_MOST
from serve_app.settings import ScalingSettings


def report(load: Load, tokens_per_s: float, source: str) -> str:
    """Return what a load needs, a line for each part.

    Args:
        load: What clients send.
        tokens_per_s: What one classifier replica computes each second.
        source: Where that figure comes from.
    """
    utilization = ScalingSettings().target_utilization
    needs = plan(load, tokens_per_s, GATEWAY, utilization)
    lines = [
        f"gateways     {needs.gateways:4}   used by {needs.gateway_use:.0%}",
        f"classifiers  {needs.classifiers:4}   used by {needs.classifier_use:.0%}",
        f"worker pods  {needs.pods:4}   {POD_CPUS} CPUs each for replicas",
        f"nodes        {needs.nodes:4}   {NODE_SIZE}, one pod each; twice as many in an upgrade",
        "",
        "This rests on",
        f"  {tokens_per_s:,.0f} tokens/s a classifier: {source}",
        f"  {GATEWAY.request_ms:g} ms of a gateway's CPU a request, {GATEWAY.ask_ms:g} ms more "
        "if it asks classifiers,",
        f"  {GATEWAY.miss_ms:g} ms a text it asks for, {GATEWAY.hit_ms:g} ms one from the cache: "
        "docs/scaling.md",
        f"  {1 - utilization:.0%} headroom: target_utilization is {utilization:g}",
        "  at least as many replicas as keep two pods busy",
    ]
    if not needs.fits:
        lines.append(f"It exceeds the limit of {PODS_MOST} pods: raise PODS_MOST in the table.")
    elif not needs.fits_an_upgrade:
        lines.append(f"An upgrade would need more than the limit of {NODES_MOST} nodes.")
    return "\n".join(lines)
