"""Everything that can go wrong, in one tree.

Exception
├── StartupError              the process ends with one line and a hint
│   ├── InvalidConfig
│   ├── ModelUnusable
│   ├── UnfaithfulExport
│   ├── PortTaken
│   ├── RunUnreadable
│   ├── InvalidManifest
│   └── RolloutError          with an exit status of its own
│       ├── RolloutRefused    3
│       ├── RolloutFailed     4
│       ├── RolloutTimeout    5
│       ├── ConnectionLost    6
│       └── PredictionFailed  7
└── ServiceError              a request ends with an RFC 9457 problem
    ├── Unauthorized          401, WWW-Authenticate
    ├── NotFound              404
    ├── MethodNotAllowed      405
    ├── BodyTooLarge          413
    ├── InvalidRequest        422
    ├── Overloaded            429, Retry-After
    ├── InferenceFailed       500
    ├── ModelUnavailable      503, Retry-After
    │   └── RevisionMismatch
    ├── FiguresUnavailable    503, Retry-After
    └── DeadlineExceeded      504

What a caller of the service meets is the client's: `serve_app.client.errors`.
"""

from collections.abc import Sequence
from math import ceil
from typing import Any, ClassVar, Final, Self, TypedDict

ELSEWHERE: Final = "X-Retry-Elsewhere"
"""Header of an answer whose request another gateway can answer."""

# A client that would have to wait longer should ask again: more replicas may have started.
MAX_RETRY_AFTER_S: Final = 30.0


class StartupError(Exception):
    """The service or a command cannot start.

    Args:
        problem: One line that says what is wrong.
        hint: One line that says what to do next.
    """

    exit_status: ClassVar[int] = 1

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem, hint)
        self.problem = problem
        self.hint = hint

    def __str__(self) -> str:
        """Return the problem and, on a second line, the hint."""
        return f"{self.problem}\n{self.hint}" if self.hint else self.problem


class InvalidConfig(StartupError):
    """A configuration has an unknown key, an impossible value or contradicts itself."""


class ModelUnusable(StartupError):
    """A model cannot be found, read, or served by the chosen engine."""


class UnfaithfulExport(StartupError):
    """A derived model file does not agree with the torch reference within its bounds."""


class PortTaken(StartupError):
    """Another process listens on the port that the service is to use."""


class RunUnreadable(StartupError):
    """The files of a load test are missing, cut off, or of another form."""


class InvalidManifest(StartupError):
    """A manifest or a revision cannot be applied as it is; nothing was changed."""


class RolloutError(StartupError):
    """A rollout has not reached its goal."""


class RolloutRefused(RolloutError):
    """The API server or the operator refuses what was applied."""

    exit_status = 3


class RolloutFailed(RolloutError):
    """The new version does not start; the cluster that an upgrade was to replace still serves."""

    exit_status = 4


class RolloutTimeout(RolloutError):
    """The rollout was neither done nor failed in time; it may still go on."""

    exit_status = 5


class ConnectionLost(RolloutError):
    """The API server does not answer; the rollout may still go on."""

    exit_status = 6


class PredictionFailed(RolloutError):
    """The new version runs, but does not answer a prediction."""

    exit_status = 7


class FieldError(TypedDict):
    """One place of a request body that breaks the contract."""

    loc: list[str | int]
    msg: str
    type: str


class ServiceError(Exception):
    """A request that cannot be answered with a prediction.

    Subclasses fix `status`, `slug` (the last part of the problem's `type`) and `title`.

    Args:
        detail: One sentence for the person who sent the request.
    """

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"
    default_headers: ClassVar[dict[str, str]] = {}

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = self.default_headers


class MalformedRequest(ServiceError):
    """What was received is not HTTP, or can be read in two ways."""

    status = 400
    slug = "malformed-request"
    title = "Malformed request"


class Unauthorized(ServiceError):
    """The request carries no API key that the service knows."""

    status = 401
    slug = "unauthorized"
    title = "Unauthorized"
    default_headers: ClassVar[dict[str, str]] = {
        "WWW-Authenticate": 'Bearer realm="sentiment-serve"'
    }


class CrossOriginRequest(ServiceError):
    """A page of a foreign origin sent the request."""

    status = 403
    slug = "cross-origin-request"
    title = "Cross-origin request"


class NotFound(ServiceError):
    """No route has this path."""

    status = 404
    slug = "not-found"
    title = "Not found"


class MethodNotAllowed(ServiceError):
    """The path exists, but not for this method.

    Args:
        allow: The methods of the path, as in the header `Allow`.
    """

    status = 405
    slug = "method-not-allowed"
    title = "Method not allowed"

    def __init__(self, allow: str) -> None:
        super().__init__(
            "This path does not take this method; the header Allow names those it takes."
        )
        self.headers = {"Allow": allow}


class BodyTooLarge(ServiceError):
    """The body has more bytes than the limit; it was not read whole."""

    status = 413
    slug = "body-too-large"
    title = "Body too large"


class MisdirectedRequest(ServiceError):
    """The header Host names another server than this one, which listens on loopback alone."""

    status = 421
    slug = "misdirected-request"
    title = "Misdirected request"


class InvalidRequest(ServiceError):
    """The body is not the JSON that the contract asks for.

    Args:
        detail: One sentence for the person who sent the request.
        errors: The places that are wrong, with a location that starts at `body`.
    """

    status = 422
    slug = "invalid-request"
    title = "Invalid request"

    def __init__(self, detail: str, errors: Sequence[FieldError]) -> None:
        super().__init__(detail)
        self.errors = list(errors)

    @classmethod
    def at(cls, loc: list[str | int], detail: str, msg: str, kind: str) -> Self:
        """Return the error of a request that is wrong at one place."""
        return cls(detail, [{"loc": loc, "msg": msg, "type": kind}])


class Overloaded(ServiceError):
    """Every queue that could take the request is full.

    Args:
        detail: One sentence for the person who sent the request.
        wait_s: Seconds after which the queue of now will be done, if known.
    """

    status = 429
    slug = "overloaded"
    title = "Overloaded"
    default_headers: ClassVar[dict[str, str]] = {"Retry-After": "1"}

    def __init__(self, detail: str, wait_s: float = 0.0) -> None:
        super().__init__(detail)
        self.headers = {"Retry-After": str(ceil(min(max(1.0, wait_s), MAX_RETRY_AFTER_S)))}


class InferenceFailed(ServiceError):
    """The model raised on a text of this request; other requests are unharmed."""

    slug = "inference-failed"
    title = "Inference failed"


class ModelUnavailable(ServiceError):
    """No model replica can answer at the moment."""

    status = 503
    slug = "model-unavailable"
    title = "Model unavailable"
    default_headers: ClassVar[dict[str, str]] = {"Retry-After": "5"}


class RevisionMismatch(ModelUnavailable):
    """The replica serves another revision of the model than the one that is asked for.

    Gateways of that revision are there as well, and the next attempt reaches one of them: what
    wraps Ray's proxy makes it by itself, told by a header of its own.
    """

    default_headers: ClassVar[dict[str, str]] = {"Retry-After": "1", ELSEWHERE: "1"}


class FiguresUnavailable(ServiceError):
    """No gateway tells the lab its live figures at the moment."""

    status = 503
    slug = "figures-unavailable"
    title = "Figures unavailable"
    default_headers: ClassVar[dict[str, str]] = {"Retry-After": "5"}


class DeadlineExceeded(ServiceError):
    """The answer did not come within the request's deadline."""

    status = 504
    slug = "deadline-exceeded"
    title = "Deadline exceeded"


PROBLEM_JSON: Final = "application/problem+json"

# What a proxy says where no gateway did.
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
