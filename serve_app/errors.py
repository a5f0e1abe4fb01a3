"""The errors of the service and its commands.

A `StartupError` ends the process with one line and a hint, a `ServiceError` ends a request with an
RFC 9457 problem. The client has its own errors: `serve_app.client.errors`.
"""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, ClassVar, Final, Self, TypedDict

# Header of an answer whose request another gateway can answer.
ELSEWHERE: Final = "X-Retry-Elsewhere"
# More replicas may have started after this time.
MAX_RETRY_AFTER_S: Final = 30.0

# Details that several places give: whole sentences, as all details are.
FOREIGN_HOST: Final = "This service has another Host; allowed_hosts adds names to those it has."
FOREIGN_PAGE: Final = "Pages of this origin may not ask; cors_origins names those that may."
NO_REPLICA: Final = "No model replica answers at the moment."
NO_ANSWER: Final = "The model did not answer in time."
NO_SCORE: Final = "The model could not score a text of this request."


class StartupError(Exception):
    """The service or a command cannot start: a line says what is wrong, one what to do next."""

    exit_status: ClassVar[int] = 1

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem, hint)
        self.problem = problem
        self.hint = hint

    def __str__(self) -> str:
        """Return the problem and, on a second line, the hint."""
        return f"{self.problem}\n{self.hint}" if self.hint else self.problem


class InvalidConfig(StartupError):
    """A configuration has an unknown key, an impossible value or a contradiction."""


class ModelUnusable(StartupError):
    """A model cannot be found, read, prepared, or served by the chosen engine."""


class InvalidManifest(StartupError):
    """A manifest or a revision cannot be applied; nothing was changed."""


class RolloutError(StartupError):
    """A rollout has not reached its goal."""


class RolloutRefused(RolloutError):
    """The API server or the operator refuses a manifest."""

    exit_status = 3


class RolloutFailed(RolloutError):
    """The new version does not start; the old cluster still serves."""

    exit_status = 4


class RolloutTimeout(RolloutError):
    """The rollout was not done in time; it may still go on."""

    exit_status = 5


class ConnectionLost(RolloutError):
    """The API server does not answer; the rollout may still go on."""

    exit_status = 6


class PredictionFailed(RolloutError):
    """The new version runs, but does not answer a prediction."""

    exit_status = 7


class FieldError(TypedDict):
    """An invalid place of a request body."""

    loc: list[str | int]
    msg: str
    type: str


class ServiceError(Exception):
    """A request cannot be answered with a prediction.

    `detail` is one whole sentence for the client. Exceptions cross Ray's calls, and are unpickled
    with their `args`: the detail has to suffice to make one.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    default_headers: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(
        cls,
        *,
        status: int | None = None,
        title: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Set what the errors of a subclass answer."""
        super().__init_subclass__()
        cls.status = status or cls.status
        cls.title = title or cls.title
        cls.default_headers = headers or cls.default_headers

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = self.default_headers

    @property
    def slug(self) -> str:
        """The end of the problem's `type`."""
        return self.title.lower().replace(" ", "-")


class MalformedRequest(ServiceError, status=400, title="Malformed request"):
    """What was received is not HTTP, or can be read in two ways."""


class Unauthorized(
    ServiceError,
    status=401,
    title="Unauthorized",
    headers={"WWW-Authenticate": 'Bearer realm="sentiment-serve"'},
):
    """The request has no valid API key."""


class CrossOriginRequest(ServiceError, status=403, title="Cross-origin request"):
    """A page of a foreign origin sent the request."""


class NotFound(ServiceError, status=404, title="Not found"):
    """No route has this path."""


class MethodNotAllowed(ServiceError, status=405, title="Method not allowed"):
    """The path exists, but not for this method; `allow` names those that it has."""

    def __init__(self, allow: str) -> None:
        super().__init__(
            "This path does not take this method; the header Allow names those it takes."
        )
        self.headers = {"Allow": allow}


class BodyTooLarge(ServiceError, status=413, title="Body too large"):
    """The body has more bytes than the limit."""


class MisdirectedRequest(ServiceError, status=421, title="Misdirected request"):
    """The header Host names another server than this one, which listens on loopback alone."""


class InvalidRequest(ServiceError, status=422, title="Invalid request"):
    """The body is not JSON of the contract; `errors` are its invalid places."""

    def __init__(self, detail: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.errors = list(errors)

    @classmethod
    def at(cls, loc: list[str | int], detail: str, msg: str, kind: str) -> Self:
        """Return the error of a request that is wrong at one place."""
        return cls(detail, [{"loc": loc, "msg": msg, "type": kind}])


class Overloaded(ServiceError, status=429, title="Overloaded"):
    """Every queue that could take the request is full, for an estimated `wait_s` if known."""

    def __init__(self, detail: str, wait_s: float = 0.0) -> None:
        super().__init__(detail)
        self.headers = {"Retry-After": str(ceil(min(max(1.0, wait_s), MAX_RETRY_AFTER_S)))}


class InferenceFailed(ServiceError, title="Inference failed"):
    """The model failed on a text of this request."""


class ModelUnavailable(
    ServiceError, status=503, title="Model unavailable", headers={"Retry-After": "5"}
):
    """No model replica can answer now."""


class RevisionMismatch(ModelUnavailable, headers={"Retry-After": "1", ELSEWHERE: "1"}):
    """The replica serves another revision of the model than its gateway.

    A gateway of the replica's revision can answer, so the proxy middleware tries another one.
    """


class FiguresUnavailable(
    ServiceError, status=503, title="Figures unavailable", headers={"Retry-After": "5"}
):
    """No gateway has live figures for the lab now."""


class DeadlineExceeded(ServiceError, status=504, title="Deadline exceeded"):
    """The deadline of the request passed before the answer."""


PROBLEM_JSON: Final = "application/problem+json"

# The answers of a proxy in place of a gateway's.
FAILED: Final = ServiceError("The service failed on this request.")
LOST: Final = ModelUnavailable("No replica that had this request could answer it.")
NOBODY: Final = ModelUnavailable("No replica of the service can answer now.")
NOT_HTTP: Final = MalformedRequest("This is no HTTP request that can be read.")
NOWHERE: Final = NotFound("There is nothing at this path; see /project/docs.")
LATE: Final = DeadlineExceeded("There was no answer in time.")


def problem_members(error: ServiceError, request_id: str) -> dict[str, Any]:
    """Return the members of an error's problem document."""
    members: dict[str, Any] = {
        "type": f"urn:sentiment-serve:problem:{error.slug}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "request_id": request_id,
    }
    if isinstance(error, InvalidRequest):
        members["errors"] = error.errors
    return members
