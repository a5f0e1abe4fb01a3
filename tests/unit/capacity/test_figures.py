"""The figures of the calculator are those of the benchmarks."""

import json
import re
from pathlib import Path

import pytest

from serve_app.capacity import GATEWAY_COST as GATEWAY
from serve_app.capacity import TOKENS_PER_S
from serve_app.settings import ScalingSettings

DOCS = Path(__file__).parents[3] / "docs"
UTILIZATION = ScalingSettings().target_utilization
# Of the texts of `loadtest/bench/texts.py`, on average, by the tokenizer of the embedded model.
TOKENS = 21


def measured(workload: str) -> tuple[float, float]:
    """Return the milliseconds of a classifier's and of the gateway's CPU for a request."""
    _, _, page = (DOCS / "benchmarks.md").read_text().partition("\n## AVX-512 VNNI\n")
    figures, _, _ = page.partition("\n## ")
    (row,) = re.findall(rf"^\| {workload} \|(?:.*\|){{4}} (\S+) / (\S+) /", figures, re.MULTILINE)
    return float(row[0]), float(row[1])


@pytest.mark.parametrize(
    ("workload", "texts", "hit_rate"),
    [("U1", 1, 0), ("U16", 16, 0), ("M95", 1, 0.95), ("H1", 1, 1), ("H32", 32, 1)],
)
def test_the_headroom_covers_what_the_gateway_took_in_the_benchmarks(
    workload: str, texts: int, hit_rate: float
) -> None:
    _, took = measured(workload)
    planned = GATEWAY.of(texts, hit_rate)
    assert 0.7 * planned < took < planned / UTILIZATION


def test_large_requests_of_known_texts_cost_what_was_seen() -> None:
    seen = json.loads((DOCS / "scaling" / "hits.json").read_text())["alone"]
    assert GATEWAY.of(seen["texts"], hit_rate=1) == pytest.approx(
        seen["gateway_request_ms"], rel=0.05
    )


def test_a_classifier_does_what_it_did_in_the_benchmarks() -> None:
    took, _ = measured("U16")
    assert pytest.approx(16 * TOKENS / took * 1000, rel=0.05) == TOKENS_PER_S
