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
_PASS_KEY: Final = "pass the service's address as --url, and an API key as $SENTIMENT_API_KEY"
_PASS_URL: Final = (
    "a network policy may keep the API server from the pods: pass the service's address as --url"
)


def predict(api: Api, url: str | None, api_key: str | None, within_s: float) -> str:
    """Request a prediction until the answer is one, and return which model has answered.

    Without a `url` the request goes through the API server, which keeps the `Authorization` header
    for itself, so that the service gets no API key. Endpoints may reach the routing tables of every
    node only after the operator has counted them: `PredictionFailed` is raised after `within_s`.
    """
    give_up = time.monotonic() + within_s
    while True:
        try:
            if url:
                answer = _through_url(url, api_key)
            else:
                answer = api.proxy("serve-svc:8000", _PATH, body=_BODY)
            problem = _problem(answer)
            hint = _PASS_KEY if answer.status == HTTPStatus.UNAUTHORIZED else ROLLBACK
        except ConnectionLost as error:
            problem, hint = error.problem, ROLLBACK if url else _PASS_URL
        if not problem:
            model = answer.headers.get("X-Model-Id", "an unnamed model")
            revision = answer.headers.get("X-Model-Revision", "unknown")
            return f"a prediction was answered by {model}, revision {revision}"
        if time.monotonic() >= give_up:
            raise PredictionFailed(f"the new version runs, but does not predict: {problem}", hint)
        time.sleep(1.0)


def _through_url(url: str, api_key: str | None) -> Answer:
    import urllib3  # noqa: PLC0415 - comes with the extra

    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    options: Any = {"json": _BODY, "headers": headers, "timeout": 10.0, "retries": False}
    try:
        answer = urllib3.request("POST", url.rstrip("/") + _PATH, **options)
    except urllib3.exceptions.HTTPError as error:
        raise ConnectionLost(f"{url} does not answer: {error}") from None
    return Answer(answer.status, answer.headers, answer.data)


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
