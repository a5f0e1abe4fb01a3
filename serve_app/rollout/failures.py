"""What the API server refuses or does not answer, in one line and a hint each."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from serve_app.errors import ConnectionLost, RolloutRefused
from serve_app.rollout.status import one_line

_UNAUTHORIZED: Final = (401, 403)
_CONFLICT: Final = 409
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500
# Webhooks refuse with 400, 403 or whatever status they choose, but always in these words.
_WEBHOOK: Final = "admission webhook"


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn the client's errors into the tool's own.

    Args:
        what: What the requests within are about.

    Raises:
        RolloutRefused: The API server refuses it.
        ConnectionLost: It does not answer, or is overloaded.
    """
    from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - an extra
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    try:
        yield
    except ApiException as error:
        message = _message(error)
        if error.status == _CONFLICT:
            raise RolloutRefused(
                f"{what}: {message}", "--force-conflicts takes these fields over"
            ) from None
        if error.status in _UNAUTHORIZED and _WEBHOOK not in message:
            raise RolloutRefused(
                f"{what}: {message}", "check your role with `kubectl auth can-i --list`"
            ) from None
        if error.status == _TOO_MANY or error.status >= _SERVER_ERROR:
            raise ConnectionLost(f"{what}: the API server answers {message}") from None
        raise RolloutRefused(f"{what}: {message}", "nothing of it was applied") from None
    except (HTTPError, OSError) as error:
        raise ConnectionLost(f"the API server does not answer: {one_line(str(error))}") from None


def _message(error: Any) -> str:
    """Return what the API server says, which is the `message` of a Status."""
    return one_line(str(json_object(error.body).get("message", f"{error.status} {error.reason}")))


def json_object(body: Any) -> dict[str, Any]:
    """Return a JSON object; an empty one where the body is none."""
    try:
        content = json.loads(body)
    except (ValueError, TypeError):
        return {}
    return content if isinstance(content, dict) else {}
