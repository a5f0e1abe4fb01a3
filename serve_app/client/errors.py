"""The errors of the client; `BY_STATUS` has those of an answer by its status."""

from typing import Any, Final

PROXY_LOGIN: Final = "give the proxy's URL a user and a password: http://user:password@host:port"


class SentimentError(Exception):
    """Base of all errors of the client.

    Args:
        message: One line for a person.
        request_id: The `X-Request-ID` in the service's log; empty where nothing was sent.
        hint: What to do, where the cause tells.
        final: Whether another attempt would certainly fail too.
    """

    def __init__(
        self, message: str, request_id: str = "", hint: str = "", *, final: bool = False
    ) -> None:
        super().__init__(message)
        self.message = message
        self.request_id = request_id
        self.hint = hint
        self.final = final

    def __str__(self) -> str:
        """Return the message, the hint and the request's id, where there are such."""
        line = f"{self.message}; {self.hint}" if self.hint else self.message
        return f"{line} (request {self.request_id})" if self.request_id else line


class TextRefused(SentimentError):
    """A text that was not sent, because the service would refuse it.

    `index` is that among the texts of the call, `reason` a predicate.
    """

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"text {index} {reason}")
        self.index = index
        self.reason = reason


class ConnectionFailed(SentimentError):
    """No connection, or one that broke before the answer was whole, after all retries."""


class DeadlinePassed(SentimentError):
    """No answer within the client's deadline."""


class UnexpectedAnswer(SentimentError):
    """An answer that does not have this service's form."""


class StatusError(SentimentError):
    """An answer of the service with an error status.

    `problem` has the members of its RFC 9457 document; `retry_after_s` is that of `Retry-After`.
    """

    def __init__(
        self,
        status: int,
        problem: dict[str, Any],
        request_id: str,
        retry_after_s: float | None,
        hint: str = "",
    ) -> None:
        self.status = status
        self.type = str(problem.get("type", "about:blank"))
        self.title = str(problem.get("title", ""))
        self.detail = str(problem.get("detail", ""))
        self.errors: list[dict[str, Any]] = problem.get("errors") or []
        self.retry_after_s = retry_after_s
        message = ": ".join(filter(None, (f"{status} {self.title}".strip(), self.detail)))
        super().__init__(message, request_id, hint)


class Unauthorized(StatusError):
    """An API key is missing, or the service does not know it."""


class BodyTooLarge(StatusError):
    """A body over the service's limit, which is lower than `/project/info` states."""


class InvalidRequest(StatusError):
    """Texts that the service refuses; `errors` names each place."""


class Overloaded(StatusError):
    """Too many texts in the queues of the service."""


class ServerFailed(StatusError):
    """A failure of the model on a text of this request."""


class Unavailable(StatusError):
    """No replica of the model that can answer."""


class ServerTimeout(StatusError):
    """No answer within the service's own deadline."""


BY_STATUS: Final[dict[int, type[StatusError]]] = {
    401: Unauthorized,
    403: Unauthorized,
    413: BodyTooLarge,
    422: InvalidRequest,
    429: Overloaded,
    500: ServerFailed,
    502: Unavailable,
    503: Unavailable,
    504: ServerTimeout,
}
