"""The prediction at the end of a rollout, which shows that the new version works."""

import json
import time
from http import HTTPStatus
from typing import Any, Final

from serve_app.errors import ConnectionLost, PredictionFailed
from serve_app.rollout.cluster import Answer, Api
from serve_app.rollout.monitor import ROLLBACK

_PATH: Final = "/project/predict"
_BODY: Final[Any] = {"text": ["The rollout went well."]}
_PAUSE_S: Final = 1.0
_TIMEOUT_S: Final = 10.0
_PASS_KEY: Final = "pass the service's address as --url, and an API key as $SENTIMENT_API_KEY"
_PASS_URL: Final = (
    "a network policy may keep the API server from the pods: pass the service's address as --url"
)


def predict(api: Api, url: str | None, api_key: str | None, within_s: float) -> str:
    """Request a prediction until the answer is one, and return which model has answered.

    Args:
        api: The API server, through which the request goes if there is no `url`. It keeps the
            `Authorization` header for itself, so that the service gets no API key.
        url: Where clients reach the service, without a path.
        api_key: Sent to `url` as a bearer token.
        within_s: How long to try, in seconds: endpoints may reach the routing tables of every
            node only after the operator has counted them.

    Raises:
        PredictionFailed: There was no prediction in time.
    """
    give_up = time.monotonic() + within_s
    while True:
        hint = ROLLBACK
        try:
            answer = _through_url(url, api_key) if url else _through_api_server(api)
            problem = _problem(answer)
            if not problem:
                return _summary(answer)
            if answer.status == HTTPStatus.UNAUTHORIZED:
                hint = _PASS_KEY
        except ConnectionLost as error:
            problem, hint = error.problem, error.hint or hint
        if time.monotonic() >= give_up:
            raise PredictionFailed(f"the new version runs, but does not predict: {problem}", hint)
        time.sleep(_PAUSE_S)


def _through_api_server(api: Api) -> Answer:
    try:
        return api.proxy("serve-svc:8000", _PATH, body=_BODY)
    except ConnectionLost as error:
        raise ConnectionLost(error.problem, _PASS_URL) from None


def _through_url(url: str, api_key: str | None) -> Answer:
    import urllib3  # noqa: PLC0415 - comes with the extra

    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    target = url.rstrip("/") + _PATH
    try:
        answer = urllib3.request(
            "POST", target, json=_BODY, headers=headers, timeout=_TIMEOUT_S, retries=False
        )
    except urllib3.exceptions.HTTPError as error:
        raise ConnectionLost(f"{url} does not answer: {error}") from None
    return Answer(answer.status, dict(answer.headers), answer.data)


def _problem(answer: Answer) -> str:
    content = answer.body[:200].decode(errors="replace")
    if answer.status != HTTPStatus.OK:
        return f"status {answer.status}: {content}"
    try:
        ((first, *_),) = json.loads(answer.body)["predictions"]
        float(first["score"])
    except (ValueError, KeyError, TypeError):
        return f"not a prediction: {content}"
    return ""


def _summary(answer: Answer) -> str:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    model = headers.get("x-model-id", "an unnamed model")
    revision = headers.get("x-model-revision", "unknown")
    return f"a prediction was answered by {model}, revision {revision}"
