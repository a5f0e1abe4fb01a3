"""The client for asyncio."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Self

import httpx2

from serve_app.client import request as connection
from serve_app.client import results as answer
from serve_app.client.request import Body, bodies, refuse_string
from serve_app.client.results import Info, Prediction, Reply
from serve_app.client.retry import NoReply, Outcome, RetryPolicy, Send, Wait, exchange


class AsyncSentimentClient:
    """Asks a sentiment service from asyncio; otherwise as `SentimentClient`.

        async with AsyncSentimentClient("http://127.0.0.1:8000") as client:
            await client.predict(["I love this!", "What a waste."])

    Args:
        url: Where the service is, without `/project`.
        api_key: Sent as a bearer token, where the service wants one.
        deadline_s: Most seconds that a call of `predict` takes, retries included; `stream`
            counts them for each request.
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
        self._http = httpx2.AsyncClient(**connection.options(url, api_key))
        self._url = url
        self._deadline_s = deadline_s
        self._retry = retry
        self._concurrency = concurrency
        self._info: Info | None = None

    async def __aenter__(self) -> Self:
        """Return the client, to be closed at the end of the block."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def info(self) -> Info:
        """Return which model answers and within which limits; asked for once.

        Raises:
            SentimentError: The service did not tell.
        """
        return await self._known(self._deadline())

    async def _known(self, deadline: float) -> Info:
        if self._info is None:
            request_id = connection.new_request_id()
            reply = await self._exchange("GET", connection.INFO, b"", request_id, deadline)
            self._info = answer.info(reply, request_id)
        return self._info

    async def predict(self, texts: Iterable[str]) -> list[Prediction]:
        """Return a prediction for each text, in order.

        Raises:
            TypeError: A string was given in place of texts.
            SentimentError: Not all of them could be had.
        """
        refuse_string(texts)
        return [each async for each in self._predictions(texts, self._deadline())]

    def stream(self, texts: Iterable[str]) -> AsyncIterator[Prediction]:
        """Yield a prediction for each text, in order, however many there are.

        Takes texts only as fast as predictions are taken, so that neither has to fit in memory.

        Raises:
            TypeError: A string was given in place of texts.
            SentimentError: The next one could not be had.
        """
        refuse_string(texts)
        return self._predictions(texts, None)

    async def _predictions(
        self, texts: Iterable[str], deadline: float | None
    ) -> AsyncIterator[Prediction]:
        limits = (await self._known(deadline or self._deadline())).limits
        calls: deque[asyncio.Task[list[Prediction]]] = deque()
        try:
            for body in bodies(texts, limits):
                if len(calls) >= self._concurrency:
                    for prediction in await calls.popleft():
                        yield prediction
                calls.append(asyncio.create_task(self._ask(body, deadline)))
            while calls:
                for prediction in await calls.popleft():
                    yield prediction
        finally:
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    async def _ask(self, body: Body, deadline: float | None) -> list[Prediction]:
        request_id = connection.new_request_id()
        reply = await self._exchange(
            "POST", connection.PREDICT, body.content, request_id, deadline or self._deadline()
        )
        return answer.predictions(reply, body.texts, request_id)

    def _deadline(self) -> float:
        return time.monotonic() + self._deadline_s

    async def _exchange(
        self, method: str, path: str, body: bytes, request_id: str, deadline: float
    ) -> Reply:
        steps = exchange(self._retry, deadline, request_id)
        outcome: Outcome = None
        try:
            while True:
                match steps.send(outcome):
                    case Send(timeout_s):
                        outcome = await self._send(method, path, body, request_id, timeout_s)
                    case Wait(seconds):
                        await asyncio.sleep(seconds)
                        outcome = None
        except StopIteration as end:
            reply: Reply = end.value
            return reply

    async def _send(
        self, method: str, path: str, body: bytes, request_id: str, timeout_s: float
    ) -> Reply | NoReply:
        try:
            # httpx's timeouts are for one read each, however many an answer takes.
            async with asyncio.timeout(timeout_s):
                response = await self._http.request(
                    method,
                    path,
                    content=body,
                    headers={"X-Request-ID": request_id},
                    timeout=connection.timeout(timeout_s),
                )
        except (httpx2.HTTPError, TimeoutError) as error:
            return connection.no_reply(error, self._url)
        return Reply(response.status_code, response.headers, response.content)
