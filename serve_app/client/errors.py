"""Everything that a call of the client can raise.

SentimentError
├── TextRefused        the service would refuse this text; nothing was sent
├── ConnectionFailed   nobody answered
├── DeadlinePassed     the client's own deadline passed
├── UnexpectedAnswer   what answered is not this service
└── StatusError        the service answered with an error
    ├── Unauthorized   401, 403
    ├── BodyTooLarge   413
    ├── InvalidRequest 422
    ├── Overloaded     429, after all retries
    ├── ServerFailed   500
    ├── Unavailable    502, 503, after all retries
    └── ServerTimeout  504, after all retries
"""

from typing import Any


class SentimentError(Exception):
    """Base of all errors of the client.

    Args:
        message: One line for a person.
        request_id: The `X-Request-ID` under which the service knows the request; empty where
            nothing was sent.
    """

    def __init__(self, message: str, request_id: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.request_id = request_id

    def __str__(self) -> str:
        """Return the message, and the request's id where there is one."""
        return f"{self.message} (request {self.request_id})" if self.request_id else self.message


class TextRefused(SentimentError):
    """The service would refuse a text, so it was not sent.

    Args:
        index: Index of the text among those of the call.
        reason: What is wrong with it.
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
    """The answer is not of this service's form."""


class StatusError(SentimentError):
    """The service answered with an error.

    Args:
        status: Status of the answer.
        problem: The members of its RFC 9457 document; empty where it has none.
        request_id: The request's id.
        retry_after_s: What `Retry-After` asks for, in seconds, where the answer has it.
    """

    def __init__(
        self, status: int, problem: dict[str, Any], request_id: str, retry_after_s: float | None
    ) -> None:
        self.status = status
        self.type = str(problem.get("type", "about:blank"))
        self.title = str(problem.get("title", ""))
        self.detail = str(problem.get("detail", ""))
        self.errors: list[dict[str, Any]] = problem.get("errors") or []
        self.retry_after_s = retry_after_s
        super().__init__(
            ": ".join(filter(None, (f"{status} {self.title}".strip(), self.detail))), request_id
        )


class Unauthorized(StatusError):
    """The service wants an API key, or another one."""


class BodyTooLarge(StatusError):
    """The service has a lower limit than it stated in `/project/info`."""


class InvalidRequest(StatusError):
    """The service refuses the texts; `errors` names each place."""


class Overloaded(StatusError):
    """Too many texts wait for the model."""


class ServerFailed(StatusError):
    """The model failed on a text of this request."""


class Unavailable(StatusError):
    """No replica of the model can answer."""


class ServerTimeout(StatusError):
    """The service did not answer within its own deadline."""


_BY_STATUS: dict[int, type[StatusError]] = {
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


def status_error(
    status: int, problem: dict[str, Any], request_id: str, retry_after_s: float | None
) -> StatusError:
    """Return the error of an answer's status; see `StatusError`."""
    kind = _BY_STATUS.get(status, StatusError)
    return kind(status, problem, request_id, retry_after_s)
