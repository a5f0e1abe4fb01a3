import asyncio
import itertools
import math
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from serve_app.client import AsyncSentimentClient, Info, Prediction, SentimentClient, TextRefused
from tests.contract.hash_service import MODEL, label_of

if TYPE_CHECKING:
    from tests.unit.client.conftest import Predict, Server

    Start = Callable[..., Server]


def test_predictions_are_typed_and_in_order(server: "Start", predict: "Predict") -> None:
    texts = ["I love this!", "What a waste.", "", "naïve ☕", 'a "quoted" \\ text']
    predictions = predict(server().url, texts)
    assert [each.label for each in predictions] == [label_of(text) for text in texts]
    for each in predictions:
        assert each.scores[each.label] == each.score == max(each.scores.values())
        assert sum(each.scores.values()) == pytest.approx(1, abs=1e-6)
        assert not each.truncated


def test_a_prediction_says_whether_its_text_was_truncated(
    server: "Start", predict: "Predict"
) -> None:
    assert [each.truncated for each in predict(server().url, ["a", "b " * 600])] == [False, True]


def test_predicting_no_texts_sends_no_request(server: "Start", predict: "Predict") -> None:
    running = server()
    assert predict(running.url, []) == []
    assert running.service.requests == []


def test_many_texts_are_divided_by_the_limits_of_the_service(
    server: "Start", predict: "Predict"
) -> None:
    running = server(max_texts=16, max_body_bytes=1500)
    texts = [f"text {n} {'x' * (n % 200)}" for n in range(400)]
    predictions = predict(running.url, texts, concurrency=3)
    assert [each.label for each in predictions] == [label_of(text) for text in texts]
    assert sorted(itertools.chain.from_iterable(running.service.requests)) == sorted(texts)
    assert max(map(len, running.service.requests)) == 16
    assert 1 < running.service.max_at_a_time <= 3


@pytest.mark.parametrize(
    ("text", "reason"),
    [("x" * 101, "101 characters"), ("\ud800", "surrogate"), ("é" * 90, "bytes")],
)
def test_a_text_that_would_be_refused_is_named_and_not_sent(
    server: "Start", predict: "Predict", text: str, reason: str
) -> None:
    running = server(max_chars=100, max_body_bytes=150)
    with pytest.raises(TextRefused, match=reason) as caught:
        predict(running.url, ["good", text, "good"])
    assert caught.value.index == 1
    assert running.service.requests == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (math.nan, "float: nan"),
        (None, "NoneType"),
        (b"bytes", "bytes"),
        (5, "int: 5"),
        (["nested"], "list"),
        ({"text": "a"}, "dict"),
        (pd.NA, "NAType"),
        (pd.Timestamp("2026-01-01"), "Timestamp"),
        (np.float32("nan"), "float32"),
        (np.bytes_(b"a"), "bytes_"),
        (b"x" * 10_000, "…"),
    ],
)
def test_what_is_not_a_string_is_named_by_its_index_and_not_sent(
    server: "Start", predict: "Predict", text: object, said: str
) -> None:
    running = server()
    with pytest.raises(TextRefused, match="text 2 is not a string") as caught:
        predict(running.url, ["good", "bad", text, "good"])
    assert caught.value.index == 2
    assert said in str(caught.value)
    assert len(str(caught.value)) < 120
    assert running.service.requests == []


def test_what_is_not_a_string_ends_a_stream_before_its_request(server: "Start") -> None:
    running = server(max_texts=2)
    with SentimentClient(running.url) as client:
        stream = client.stream(["a", "b", None])  # type: ignore[list-item]
        with pytest.raises(TextRefused, match="text 2"):
            list(stream)
    assert all(len(texts) == 2 for texts in running.service.requests)


async def test_what_is_not_a_string_ends_an_asynchronous_stream(server: "Start") -> None:
    async with AsyncSentimentClient(server().url) as client:
        with pytest.raises(TextRefused, match="text 1"):
            [each async for each in client.stream(["a", math.nan])]  # type: ignore[list-item]


def test_strings_of_pandas_and_numpy_are_texts(server: "Start", predict: "Predict") -> None:

    url, texts = server().url, ["a", "b"]
    expected = predict(url, texts)
    for given in (
        pd.Series(texts),
        np.array(texts),
        pd.Series(texts, dtype="string"),
        map(str, texts),
    ):
        assert predict(url, given) == expected


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ("I love this!", r"\[text\]"),
        (b"I love this!", r"\[text\]"),
        ({"text": ["a"]}, "dict is not a list of texts"),
        (pd.DataFrame({"text": ["a"]}), "DataFrame is not a list of texts"),
    ],
)
def test_what_is_not_a_list_of_texts_is_refused(
    server: "Start", predict: "Predict", texts: Any, said: str
) -> None:
    with pytest.raises(TypeError, match=said):
        predict(server().url, texts)
    with pytest.raises(TypeError, match=said):
        SentimentClient().stream(texts)


def test_connections_are_kept(server: "Start", predict: "Predict") -> None:
    running = server()
    predict(running.url, ["a"], ["b"], ["c"])
    assert len(running.observer.headers) == 4
    assert len(running.observer.connections) == 1


def test_info_names_the_model_and_its_limits(server: "Start", info: Callable[[str], Info]) -> None:
    found = info(server(max_texts=7).url)
    assert (found.model, found.labels, found.limits.max_texts) == (
        MODEL.model_id,
        MODEL.labels,
        7,
    )


def test_a_stream_may_be_endless(server: "Start") -> None:
    endless = (f"text {n}" for n in itertools.count())
    with SentimentClient(server().url) as client:
        first = list(itertools.islice(client.stream(endless), 200))
    assert [each.label for each in first] == [label_of(f"text {n}") for n in range(200)]


def test_a_connection_being_opened_while_the_client_closes_is_closed_after_its_request(
    server: "Start", monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = socket.create_connection
    connecting, closed = threading.Event(), threading.Event()
    opened: list[socket.socket] = []

    def connect_once_closed(*args: Any, **options: Any) -> socket.socket:
        connecting.set()
        assert closed.wait(10)
        opened.append(connect(*args, **options))
        return opened[-1]

    monkeypatch.setattr(socket, "create_connection", connect_once_closed)
    client = SentimentClient(server().url)
    with ThreadPoolExecutor() as threads:
        info = threads.submit(client.info)
        assert connecting.wait(10)
        client.close()
        closed.set()
        assert info.result(10).model == MODEL.model_id
    assert [each.fileno() for each in opened] == [-1]


async def test_an_asynchronous_stream_may_be_endless(server: "Start") -> None:
    endless = (f"text {n}" for n in itertools.count())
    running = server()
    first: list[Prediction] = []
    async with AsyncSentimentClient(running.url) as client:
        stream = client.stream(endless)
        while len(first) < 200:
            first.append(await anext(stream))
    assert [each.label for each in first] == [label_of(f"text {n}") for n in range(200)]


async def test_a_cancelled_call_ends_its_requests(server: "Start") -> None:
    running = server(hangs=True, deadline_s=1.0)
    async with AsyncSentimentClient(running.url) as client:
        before = len(asyncio.all_tasks())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.predict(map(str, range(1000)))
        assert len(asyncio.all_tasks()) == before


def test_a_client_may_be_shared_among_threads(server: "Start") -> None:
    found: dict[int, str] = {}
    with SentimentClient(server().url) as client:

        def ask(number: int) -> None:
            found[number] = client.predict([f"text {number}"])[0].label

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {number: label_of(f"text {number}") for number in range(16)}


def test_the_client_needs_neither_ray_nor_a_model_runtime() -> None:
    code = (
        "import sys; before = set(sys.modules); import serve_app.client;"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "httpx2" in loaded
    third_party = set(loaded) - set(sys.stdlib_module_names) - {"serve_app"}
    assert third_party <= {
        "httpx2",
        "httpcore2",
        "anyio",
        "idna",
        "truststore",
        "typing_extensions",
    }
