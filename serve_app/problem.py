"""Problem documents (RFC 9457), which every error is answered with, by whatever part of us."""

from typing import Any, Final

from serve_app.errors import DeadlineExceeded, InvalidRequest, ModelUnavailable, ServiceError

PROBLEM_JSON: Final = "application/problem+json"

# What a proxy says where no gateway did.
FAILED: Final = ServiceError("The service failed on this request.")
LOST: Final = ModelUnavailable("No replica that had this request could answer it.")
NOBODY: Final = ModelUnavailable("No replica of the service can answer now.")
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
