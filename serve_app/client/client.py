"""The synchronous and the asynchronous client, which differ in their I/O alone."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial
from itertools import chain

import httpx2

from serve_app.client import results
from serve_app.client.connection import connection_failed, http_timeout, open_http
from serve_app.client.request import (
    DEFAULT_CONCURRENCY,
    DEFAULT_DEADLINE_S,
    DEFAULT_URL,
    RETRYABLE,
    Attempts,
    Request,
    RetryPolicy,
    divide,
    in_order,
    info_request,
    refuse_string,
)
from serve_app.client.results import Info, Prediction, Reply, raise_for_status


class _BaseClient:
    """The settings and the state that both clients have."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        deadline_s: float = DEFAULT_DEADLINE_S,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - immutable
        concurrency: int = DEFAULT_CONCURRENCY,
    ) -> None:
        self._url = url
        self._deadline_s = deadline_s
        self._retry = retry
        self._concurrency = concurrency
        self._info: Info | None = None
        self._open(url, api_key)

    def _open(self, url: str, api_key: str | None) -> None:
        raise NotImplementedError

    def _new_deadline(self) -> float:
        return time.monotonic() + self._deadline_s

    def _attempts(self, request: Request, deadline: float | None) -> Attempts:
        return Attempts(self._retry, deadline or self._new_deadline(), request.id)


class SentimentClient(_BaseClient, AbstractContextManager["SentimentClient"]):
    """A client that keeps its connections and is safe to share among threads.

    It divides any number of texts into requests that the service accepts, sends a few of them at
    a time, and repeats those that may succeed later, after as long as the service asks for.

        with SentimentClient("http://127.0.0.1:8000") as client:
            client.predict(["I love this!", "What a waste."])

    Args:
        url: Address of the service, without `/project`.
        api_key: Sent as a bearer token, where the service requires one.
        deadline_s: Maximum seconds for a call of `predict`, or for a request of `stream`, retries
            included. A server that stops in the middle of an answer can double it.
        retry: How often and how patiently a request is repeated.
        concurrency: Maximum number of requests of one call at a time.

    Raises:
        ValueError: The URL is not an HTTP URL, or a header cannot carry the key.
        ConnectionFailed: A variable of the environment names an unusable proxy or certificate.
    """

    def _open(self, url: str, api_key: str | None) -> None:
        self._http = open_http(httpx2.Client, url, api_key)
        self._threads = ThreadPoolExecutor(self._concurrency, "sentiment-client")

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        # Nobody reads the answers of the requests that still run.
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._http.close()

    def info(self) -> Info:
        """Return the model that answers and the limits of a request; requested once.

        Raises:
            SentimentError: The service did not answer.
        """
        return self._known(None)

    def predict(self, texts: Iterable[str]) -> list[Prediction]:
        """Return a prediction for each text, in order.

        Raises:
            TypeError: A string was given in place of texts.
            SentimentError: A text has no prediction.
        """
        refuse_string(texts)
        return list(self._predictions(texts, self._new_deadline()))

    def stream(self, texts: Iterable[str]) -> Iterator[Prediction]:
        """Yield a prediction for each text, in order, for any number of texts.

        Takes texts only as fast as predictions are taken, so that neither has to fit in memory.

        Raises:
            TypeError: A string was given in place of texts.
            SentimentError: The next text has no prediction.
        """
        refuse_string(texts)
        return self._predictions(texts, None)

    def _known(self, deadline: float | None) -> Info:
        if self._info is None:
            request = info_request()
            self._info = results.info(self._request(request, deadline), request.id)
        return self._info

    def _predictions(self, texts: Iterable[str], deadline: float | None) -> Iterator[Prediction]:
        requests = divide(texts, self._known(deadline).limits)
        predict = partial(self._predict, deadline=deadline)
        first, second = next(requests, None), next(requests, None)
        if first is None:
            return
        if second is None:
            yield from predict(first)
            return
        rest = chain((first, second), requests)
        answers = in_order(self._threads, predict, rest, 2 * self._concurrency)
        yield from chain.from_iterable(answers)

    def _predict(self, request: Request, deadline: float | None) -> list[Prediction]:
        reply = self._request(request, deadline)
        return results.predictions(reply, request.texts, request.id)

    def _request(self, request: Request, deadline: float | None) -> Reply:
        attempts = self._attempts(request, deadline)
        while True:
            try:
                reply = self._send(request, attempts.left_s())
                return raise_for_status(reply, request.id)
            except RETRYABLE as error:
                time.sleep(attempts.wait_s(error))

    def _send(self, request: Request, timeout_s: float) -> Reply:
        deadline = time.monotonic() + timeout_s
        content = bytearray()
        try:
            with self._http.stream(
                request.method,
                request.path,
                content=request.content,
                headers={"X-Request-ID": request.id},
                timeout=http_timeout(timeout_s),
            ) as response:
                # httpx's timeouts hold for each read, not for the whole answer.
                for piece in response.iter_bytes():
                    if time.monotonic() >= deadline:
                        raise TimeoutError
                    content += piece
                if self._http.is_closed:
                    # The pool does not own a connection that was being opened while it closed.
                    response.extensions["network_stream"].close()
        except (httpx2.HTTPError, TimeoutError) as error:
            raise connection_failed(error, self._url, request.id) from error
        return Reply(response.status_code, response.headers, bytes(content))


class AsyncSentimentClient(_BaseClient, AbstractAsyncContextManager["AsyncSentimentClient"]):
    """A client for asyncio, with the arguments of `SentimentClient`.

    async with AsyncSentimentClient("http://127.0.0.1:8000") as client:
        await client.predict(["I love this!", "What a waste."])
    """

    def _open(self, url: str, api_key: str | None) -> None:
        self._http = open_http(httpx2.AsyncClient, url, api_key)

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def info(self) -> Info:
        """Return the model that answers and the limits of a request; see `SentimentClient.info`."""
        return await self._known(None)

    async def predict(self, texts: Iterable[str]) -> list[Prediction]:
        """Return a prediction for each text, in order; see `SentimentClient.predict`."""
        refuse_string(texts)
        return [each async for each in self._predictions(texts, self._new_deadline())]

    def stream(self, texts: Iterable[str]) -> AsyncIterator[Prediction]:
        """Yield a prediction for each text, in order; see `SentimentClient.stream`."""
        refuse_string(texts)
        return self._predictions(texts, None)

    async def _known(self, deadline: float | None) -> Info:
        if self._info is None:
            request = info_request()
            self._info = results.info(await self._request(request, deadline), request.id)
        return self._info

    async def _predictions(
        self, texts: Iterable[str], deadline: float | None
    ) -> AsyncIterator[Prediction]:
        limits = (await self._known(deadline)).limits
        calls: deque[asyncio.Task[list[Prediction]]] = deque()
        try:
            for request in divide(texts, limits):
                if len(calls) >= self._concurrency:
                    for prediction in await calls.popleft():
                        yield prediction
                calls.append(asyncio.create_task(self._predict(request, deadline)))
            while calls:
                for prediction in await calls.popleft():
                    yield prediction
        finally:
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    async def _predict(self, request: Request, deadline: float | None) -> list[Prediction]:
        reply = await self._request(request, deadline)
        return results.predictions(reply, request.texts, request.id)

    async def _request(self, request: Request, deadline: float | None) -> Reply:
        attempts = self._attempts(request, deadline)
        while True:
            try:
                reply = await self._send(request, attempts.left_s())
                return raise_for_status(reply, request.id)
            except RETRYABLE as error:
                await asyncio.sleep(attempts.wait_s(error))

    async def _send(self, request: Request, timeout_s: float) -> Reply:
        try:
            # httpx's timeouts hold for each read, not for the whole answer.
            async with asyncio.timeout(timeout_s):
                response = await self._http.request(
                    request.method,
                    request.path,
                    content=request.content,
                    headers={"X-Request-ID": request.id},
                    timeout=http_timeout(timeout_s),
                )
        except (httpx2.HTTPError, TimeoutError) as error:
            raise connection_failed(error, self._url, request.id) from error
        return Reply(response.status_code, response.headers, response.content)
