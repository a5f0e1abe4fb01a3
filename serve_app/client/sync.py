"""The client for ordinary code."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from itertools import chain
from types import TracebackType
from typing import Self, TypeVar

import httpx2

from serve_app.client import request as connection
from serve_app.client import results as answer
from serve_app.client.request import Body, bodies, refuse_string
from serve_app.client.results import Info, Prediction, Reply
from serve_app.client.retry import NoReply, Outcome, RetryPolicy, Send, Wait, exchange


class SentimentClient:
    """Asks a sentiment service, over connections that it keeps; safe to share among threads.

    Any number of texts may be given: they are divided into requests that the service accepts,
    a few of which are under way at a time. What may pass is tried again, after as long as the
    service asks for.

        with SentimentClient("http://127.0.0.1:8000") as client:
            client.predict(["I love this!", "What a waste."])

    Args:
        url: Where the service is, without `/project`.
        api_key: Sent as a bearer token, where the service wants one.
        deadline_s: Most seconds that a call of `predict` takes, retries included; `stream`,
            which may go on for hours, counts them for each request. The time is looked at
            whenever a piece of an answer comes; a server that stops amid one can double it.
        retry: How often and how patiently a request is sent again.
        concurrency: Most requests of one call under way at a time.

    Raises:
        ValueError: The URL is not one of HTTP, or the key is none that a header can carry.
    """

    def __init__(
        self,
        url: str = connection.DEFAULT_URL,
        *,
        api_key: str | None = None,
        deadline_s: float = connection.DEFAULT_DEADLINE_S,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - immutable
        concurrency: int = connection.DEFAULT_CONCURRENCY,
    ) -> None:
        self._http = httpx2.Client(**connection.options(url, api_key))
        self._url = url
        self._deadline_s = deadline_s
        self._retry = retry
        self._concurrency = concurrency
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="sentiment-client")
        self._info: Info | None = None

    def __enter__(self) -> Self:
        """Return the client, to be closed at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        # Nobody reads the answers of what is still under way.
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._http.close()

    def info(self) -> Info:
        """Return which model answers and within which limits; asked for once.

        Raises:
            SentimentError: The service did not tell.
        """
        return self._known(self._deadline())

    def _known(self, deadline: float) -> Info:
        if self._info is None:
            request_id = connection.new_request_id()
            reply = self._exchange("GET", connection.INFO, b"", request_id, deadline)
            self._info = answer.info(reply, request_id)
        return self._info

    def predict(self, texts: Iterable[str]) -> list[Prediction]:
        """Return a prediction for each text, in order.

        Raises:
            TypeError: A string was given in place of texts.
            SentimentError: Not all of them could be had.
        """
        refuse_string(texts)
        return list(self._predictions(texts, self._deadline()))

    def stream(self, texts: Iterable[str]) -> Iterator[Prediction]:
        """Yield a prediction for each text, in order, however many there are.

        Takes texts only as fast as predictions are taken, so that neither has to fit in memory.

        Raises:
            TypeError: A string was given in place of texts.
            SentimentError: The next one could not be had.
        """
        refuse_string(texts)
        return self._predictions(texts, None)

    def _predictions(self, texts: Iterable[str], deadline: float | None) -> Iterator[Prediction]:
        requests = bodies(texts, self._known(deadline or self._deadline()).limits)
        ask = partial(self._ask, deadline=deadline)
        first, second = next(requests, None), next(requests, None)
        if first is None:
            return
        if second is None:
            yield from ask(first)
            return
        replies = in_order(
            self._threads, ask, chain((first, second), requests), 2 * self._concurrency
        )
        yield from chain.from_iterable(replies)

    def _ask(self, body: Body, deadline: float | None) -> list[Prediction]:
        request_id = connection.new_request_id()
        reply = self._exchange(
            "POST", connection.PREDICT, body.content, request_id, deadline or self._deadline()
        )
        return answer.predictions(reply, body.texts, request_id)

    def _deadline(self) -> float:
        return time.monotonic() + self._deadline_s

    def _exchange(
        self, method: str, path: str, body: bytes, request_id: str, deadline: float
    ) -> Reply:
        steps = exchange(self._retry, deadline, request_id)
        outcome: Outcome = None
        try:
            while True:
                match steps.send(outcome):
                    case Send(timeout_s):
                        outcome = self._send(method, path, body, request_id, timeout_s)
                    case Wait(seconds):
                        time.sleep(seconds)
                        outcome = None
        except StopIteration as end:
            reply: Reply = end.value
            return reply

    def _send(
        self, method: str, path: str, body: bytes, request_id: str, timeout_s: float
    ) -> Reply | NoReply:
        deadline = time.monotonic() + timeout_s
        content = bytearray()
        try:
            with self._http.stream(
                method,
                path,
                content=body,
                headers={"X-Request-ID": request_id},
                timeout=connection.timeout(timeout_s),
            ) as response:
                # httpx's timeouts are for one read each, however many an answer takes.
                for piece in response.iter_bytes():
                    if time.monotonic() >= deadline:
                        raise TimeoutError
                    content += piece
                if self._http.is_closed:
                    # What was being opened as the pool closed is none of the pool's any more.
                    response.extensions["network_stream"].close()
        except (httpx2.HTTPError, TimeoutError) as error:
            return connection.no_reply(error, self._url)
        return Reply(response.status_code, response.headers, bytes(content))


Argument = TypeVar("Argument")
Result = TypeVar("Result")


def in_order(
    executor: Executor,
    function: Callable[[Argument], Result],
    arguments: Iterable[Argument],
    ahead: int,
) -> Iterator[Result]:
    """Call a function for each argument, and yield the results in order.

    Unlike `Executor.map`, which gained `buffersize` in Python 3.14, this takes arguments only
    as fast as results are taken. Whoever stops early cancels what has not begun.

    Args:
        executor: Runs the calls.
        function: What to call.
        arguments: Any number, even without end.
        ahead: Most calls whose results nobody has taken.
    """
    calls: deque[Future[Result]] = deque()
    try:
        for argument in arguments:
            if len(calls) >= ahead:
                yield calls.popleft().result()
            calls.append(executor.submit(function, argument))
        while calls:
            yield calls.popleft().result()
    finally:
        for call in calls:
            call.cancel()
