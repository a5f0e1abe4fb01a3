import json

from hypothesis import given
from hypothesis import strategies as st

from serve_app.client.request import Budget, bodies, budget, chunks, refusal
from serve_app.client.results import Limits

LIMITS = Limits(max_texts=5, max_chars=40, max_body_bytes=120, max_tokens=512, deadline_s=30.0)

texts = st.lists(st.text(max_size=45))


@given(texts)
def test_bodies_hold_the_texts_in_order_and_keep_the_limits(given_texts: list[str]) -> None:
    accepted = [text for text in given_texts if not refusal(text, LIMITS)]
    made = list(bodies(accepted, LIMITS))
    read = [json.loads(body.content)["text"] for body in made]
    assert [text for part in read for text in part] == accepted
    assert [body.texts for body in made] == [len(part) for part in read]
    assert all(body.texts <= LIMITS.max_texts for body in made)
    assert all(len(body.content) <= LIMITS.max_body_bytes for body in made)


@given(st.text(max_size=45))
def test_a_text_is_refused_exactly_where_its_request_would_be(text: str) -> None:
    try:
        size = len(json.dumps({"text": [text]}, ensure_ascii=False, separators=(",", ":")).encode())
    except UnicodeEncodeError:
        size = LIMITS.max_body_bytes + 1
    fits = len(text) <= LIMITS.max_chars and size <= LIMITS.max_body_bytes
    assert bool(refusal(text, LIMITS)) == (not fits)


def test_chunks_are_as_full_as_the_budget_allows() -> None:
    assert list(chunks(["aa", "bb", "cc", "d" * 50, "e"], len, Budget(2, 10))) == [
        ["aa", "bb"],
        ["cc"],
        ["d" * 50],
        ["e"],
    ]


def test_a_request_is_far_smaller_than_a_generous_service_allows() -> None:
    generous = LIMITS._replace(max_texts=10_000, max_body_bytes=10**9)
    assert budget(generous) == Budget(64, 64 * 1024)
