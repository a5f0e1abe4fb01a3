"""The last proof that a rollout has worked: a prediction."""

import json
import time
from collections.abc import Callable
from typing import Any, Final

from serve_app.errors import ConnectionLost, PredictionFailed, StartupError
from serve_app.rollout.cluster import Answer, Api

PATH: Final = "/project/predict"
# The operator's Service for predictions and the port that Serve listens on.
_SERVICE: Final = "{name}-serve-svc:8000"
_BODY: Final[Any] = {"text": ["The rollout went well."]}
_PAUSE_S: Final = 1.0
_TIMEOUT_S: Final = 10.0
_OK: Final = 200
_UNAUTHORIZED: Final = 401
_ASK_AS_CLIENTS: Final = (
    "a network policy may keep the API server from the pods: name the service's address by --url"
)
_KEY_NEEDED: Final = "name the service's address by --url, and a key of it in $SENTIMENT_API_KEY"

Ask = Callable[[], Answer]


def by_url(url: str, api_key: str | None) -> Ask:
    """Ask through the way that clients take.

    Args:
        url: The service's, without path.
        api_key: Sent as a bearer token, if there is one.

    Raises:
        StartupError: It is none.
    """
    if not url.startswith(("http://", "https://")):
        raise StartupError(f"{url} is no URL", "write https://host")
    import urllib3  # noqa: PLC0415 - comes with the extra

    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}

    def ask() -> Answer:
        try:
            answer = urllib3.request(
                "POST",
                url.rstrip("/") + PATH,
                json=_BODY,
                headers=headers,
                timeout=_TIMEOUT_S,
                retries=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise ConnectionLost(f"{url} does not answer: {error}") from None
        return Answer(answer.status, dict(answer.headers), answer.data)

    return ask


def by_api(api: Api, name: str, namespace: str) -> Ask:
    """Ask through the API server, which needs no way in from outside, but takes tokens as its own.

    Args:
        api: The API server.
        name: Of the RayService.
        namespace: Of the RayService.
    """
    service = _SERVICE.format(name=name)

    def ask() -> Answer:
        try:
            return api.through_proxy(namespace, service, "POST", PATH, body=_BODY)
        except ConnectionLost as error:
            raise ConnectionLost(error.problem, _ASK_AS_CLIENTS) from None

    return ask


def predict(ask: Ask, within_s: float) -> str:
    """Ask until there is a right answer.

    Args:
        ask: How to ask.
        within_s: For how long to try: endpoints may reach every node's routing tables only
            after the operator has counted them.

    Returns:
        What has answered, in one line.

    Raises:
        PredictionFailed: There was no right answer in time.
    """
    give_up = time.monotonic() + within_s
    while True:
        hint = "`sentiment rollout rollback` returns to the one before"
        try:
            answer = ask()
            problem = _problem(answer)
            if not problem:
                return _summary(answer)
            if answer.status == _UNAUTHORIZED:
                hint = _KEY_NEEDED
        except ConnectionLost as error:
            problem, hint = error.problem, error.hint or hint
        if time.monotonic() >= give_up:
            raise PredictionFailed(f"the new version runs, but does not predict: {problem}", hint)
        time.sleep(_PAUSE_S)


def _problem(answer: Answer) -> str:
    if answer.status != _OK:
        return f"status {answer.status}: {answer.body[:200].decode(errors='replace')}"
    try:
        ((first, *_),) = json.loads(answer.body)["predictions"]
        float(first["score"])
    except (ValueError, KeyError, TypeError):
        return f"not a prediction: {answer.body[:200].decode(errors='replace')}"
    return ""


def _summary(answer: Answer) -> str:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    model = headers.get("x-model-id", "an unnamed model")
    revision = headers.get("x-model-revision", "unknown")
    return f"a prediction was answered by {model}, revision {revision}"
