import json
from itertools import islice

from loadtest.bench.texts import Texts
from loadtest.bench.workloads import WORKLOADS


def drawn(name: str, requests: int) -> tuple[list[str], set[str]]:
    source = Texts()
    found = [
        json.loads(request.body)["text"]
        for request in islice(WORKLOADS[name].requests(source), requests)
    ]
    return [text for texts in found for text in texts], set(source.pool)


def test_a_request_carries_the_workloads_number_of_texts() -> None:
    for workload in WORKLOADS.values():
        request = next(workload.requests(Texts()))
        assert request.texts == json.loads(request.body)["text"]
        assert len(request.texts) == workload.texts


def test_m95_repeats_nineteen_texts_of_twenty() -> None:
    texts, pool = drawn("M95", 4000)
    assert 0.93 < sum(text in pool for text in texts) / len(texts) < 0.97


def test_hits_come_from_the_pool_alone_and_unique_texts_never() -> None:
    hits, pool = drawn("H32", 20)
    unique, _ = drawn("U16", 20)
    assert set(hits) == pool
    assert len(set(unique)) == len(unique)
    assert not pool & set(unique)
