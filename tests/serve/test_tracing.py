"""W3C trace context from a client to the engine, through a real service to a real collector."""

import asyncio
import time
from collections.abc import Iterator

import httpx
import pytest
import yaml
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from loadtest.configs import configured
from loadtest.service import Service
from serve_app.ray_serve.config import read
from tests.serve.collector import Collector

pytestmark = [pytest.mark.serve, pytest.mark.slow]

TEXT = "zanzibar quokka"
CALLER = "00f067aa0ba902b7"
ALONE, TOGETHER, SHARED, UNSAMPLED = (
    "a" * 32,
    [f"b{n:031}" for n in range(8)],
    ["d" * 32, "e" * 32],
    "f" * 32,
)


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    config = configured(tmp_path_factory.mktemp("tracing"), {})
    content = read(config)
    # A call for each text, none held back, so that the engine's batches join calls.
    content["applications"][0]["deployments"][0]["user_config"] = {
        "chunk_texts": 1,
        "max_calls_per_replica": 64,
    }
    config.write_text(yaml.safe_dump(content))
    with Collector() as collector:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        with Service(config, **variables) as service:
            asyncio.run(requests(service.url))
            give_up = time.monotonic() + 20
            while not complete(collector) and time.monotonic() < give_up:
                time.sleep(0.2)
            yield collector


async def requests(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:

        async def predict(trace_id: str, texts: list[str], sampled: bool = True) -> None:
            parent = f"00-{trace_id}-{CALLER}-{int(sampled):02d}"
            answer = await client.post(
                "/project/predict", json={"text": texts}, headers={"traceparent": parent}
            )
            assert answer.status_code == 200

        await predict(ALONE, [TEXT])
        await predict(UNSAMPLED, [f"{TEXT} unsampled"], sampled=False)
        # While the engine computes this, the calls of the others come together.
        busy = asyncio.create_task(
            predict(UNSAMPLED, [f"long {n} " * 150 for n in range(16)], False)
        )
        await asyncio.sleep(0.1)
        await asyncio.gather(
            *(predict(trace_id, [f"{TEXT} {trace_id}"]) for trace_id in TOGETHER),
            *(predict(trace_id, [f"{TEXT} shared"]) for trace_id in SHARED),
            busy,
        )


def complete(collector: Collector) -> bool:
    traces = [ALONE, *TOGETHER, SHARED[0]]
    return all("inference" in collector.trace(trace_id) for trace_id in traces)


def ancestors(collector: Collector, span: Span) -> list[str]:
    """Return the names of a span's parents, up to the one whose parent no process has reported."""
    by_id = {other.span_id: other for other in collector.spans}
    names = []
    while span.parent_span_id in by_id:
        span = by_id[span.parent_span_id]
        names.append(span.name)
    assert span.parent_span_id.hex() == CALLER
    return names


def test_a_trace_leads_from_the_client_through_gateway_and_cache_to_the_engine(
    collector: Collector,
) -> None:
    trace = collector.trace(ALONE)
    (cache,), (inference,) = trace["cache"], trace["inference"]
    assert any("Gateway" in name for name in ancestors(collector, cache))
    names = ancestors(collector, inference)
    assert any("Classifier" in name for name in names)
    assert names.index("model") < len(names) - 1


def test_a_batch_links_all_its_requests(collector: Collector) -> None:
    batches = {span.span_id: span for span in collector.spans if span.name == "inference batch"}
    sizes = []
    for trace_id in TOGETHER:
        (inference,) = collector.trace(trace_id)["inference"]
        (link,) = inference.links
        linked = {each.span_id for each in batches[link.span_id].links}
        assert inference.parent_span_id in linked
        sizes.append(len(linked))
    assert max(sizes) > 1


def test_a_request_that_shares_a_computation_is_linked_to_it(collector: Collector) -> None:
    spans = [collector.trace(trace_id)["model"][0] for trace_id in SHARED]
    first, second = sorted(spans, key=lambda span: len(span.links))
    assert [link.span_id for link in second.links] == [first.span_id]


def test_what_the_client_does_not_sample_is_not_traced(collector: Collector) -> None:
    assert collector.trace(UNSAMPLED) == {}


def test_no_span_holds_a_text(collector: Collector) -> None:
    assert collector.received
    assert b"zanzibar" not in collector.received
