import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.client.request import Budget, budget, divide, in_order, portions, refusal
from serve_app.client.results import Limits

LIMITS = Limits(max_texts=5, max_chars=40, max_body_bytes=120, max_tokens=512, deadline_s=30.0)

texts = st.lists(st.text(max_size=45))


@given(texts)
def test_requests_hold_the_texts_in_order_and_keep_the_limits(given_texts: list[str]) -> None:
    accepted = [text for text in given_texts if not refusal(text, LIMITS)]
    requests = list(divide(accepted, LIMITS))
    read = [json.loads(request.content)["text"] for request in requests]
    assert [text for sent in read for text in sent] == accepted
    assert [request.texts for request in requests] == [len(sent) for sent in read]
    assert all(request.texts <= LIMITS.max_texts for request in requests)
    assert all(len(request.content) <= LIMITS.max_body_bytes for request in requests)


@given(st.text(max_size=45))
def test_a_text_is_refused_exactly_if_its_request_would_be(text: str) -> None:
    try:
        size = len(json.dumps({"text": [text]}, ensure_ascii=False, separators=(",", ":")).encode())
    except UnicodeEncodeError:
        size = LIMITS.max_body_bytes + 1
    fits = len(text) <= LIMITS.max_chars and size <= LIMITS.max_body_bytes
    assert bool(refusal(text, LIMITS)) == (not fits)


def test_portions_are_as_full_as_the_budget_allows() -> None:
    assert list(portions(["aa", "bb", "cc", "d" * 50, "e"], len, Budget(2, 10))) == [
        ["aa", "bb"],
        ["cc"],
        ["d" * 50],
        ["e"],
    ]


def test_a_request_is_far_smaller_than_a_generous_service_allows() -> None:
    generous = LIMITS._replace(max_texts=10_000, max_body_bytes=10**9)
    assert budget(generous) == Budget(64, 64 * 1024)


def test_a_failure_cancels_the_calls_that_have_not_begun() -> None:
    begun: list[int] = []

    def fail(number: int) -> int:
        begun.append(number)
        raise ValueError(number)

    with ThreadPoolExecutor(1) as threads, pytest.raises(ValueError, match="0"):
        list(in_order(threads, fail, range(1000), 4))
    assert len(begun) <= 4
