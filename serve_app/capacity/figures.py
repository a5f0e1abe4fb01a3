"""What one replica on one CPU does, as measured. A test compares it with the benchmarks."""

from typing import Final

from serve_app.capacity.calculator import GatewayCost

# docs/benchmarks.md, U16: 89.5 ms of a classifier's CPU for 16 texts of 21 tokens.
TOKENS_PER_S: Final = 3_750.0
TOKENS_SOURCE: Final = "DistilBERT-base on onnx-int8, docs/benchmarks.md"

# With m for the milliseconds of the gateway's CPU in docs/benchmarks.md:
GATEWAY: Final = GatewayCost(
    request_ms=0.31,  # m(H1)
    hit_ms=0.0033,  # docs/scaling/hits.json, "alone": 1.18 ms for 256 texts, less request_ms
    ask_ms=0.52,  # m(U1) - request_ms - miss_ms
    miss_ms=0.30,  # (m(U16) - m(U1)) / 15
)
