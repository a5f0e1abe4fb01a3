"""Who scores for a command: a service, or a model in this process."""

import os
from contextlib import ExitStack
from typing import Final, Literal, NoReturn

import typer

from serve_app.client import RetryPolicy, SentimentClient
from serve_app.client.errors import (
    ConnectionFailed,
    SentimentError,
    StatusError,
    Unauthorized,
)
from serve_app.console import say
from serve_app.errors import StartupError
from serve_app.files.scorers import RemoteScorer, Scorer
from serve_app.settings import OnnxName

API_KEY: Final = "SENTIMENT_API_KEY"

# A run of hours is to outlive a restart of the service.
PATIENCE: Final = RetryPolicy(retries=12, cap_s=30.0)
PATIENCE_S: Final = 600.0

# The simulated engine is not among them: its scores are invented.
Engine = Literal[OnnxName, "torch", "auto"]
MODEL: Final = "embedded"
ENGINE: Final[Engine] = "auto"


def local(model: str, engine: Engine) -> Scorer:
    """Load a model; see `LocalScorer`."""
    # A client of a service needs none of what this imports.
    from serve_app.files.scorers import LocalScorer  # noqa: PLC0415

    return LocalScorer(model, engine, say)


def remote(url: str, concurrency: int, stack: ExitStack) -> Scorer:
    """Connect to a service.

    Args:
        url: Where it is.
        concurrency: Most requests at a time.
        stack: Closes the connections.

    Raises:
        StartupError: It does not answer.
    """
    key = os.environ.get(API_KEY)
    try:
        # Whoever has named the wrong server is to hear of it at once.
        with SentimentClient(url, api_key=key, retry=RetryPolicy(retries=0)) as probe:
            probe.info()
        client = SentimentClient(
            url, api_key=key, deadline_s=PATIENCE_S, retry=PATIENCE, concurrency=concurrency
        )
        return RemoteScorer(stack.enter_context(client))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    except SentimentError as error:
        explain(error, url)


def explain(error: SentimentError, url: str, progress: str = "") -> NoReturn:
    """Say what a person can do about an error of the client.

    Args:
        error: What went wrong.
        url: Where the service is.
        progress: What has been done before, as a hint.

    Raises:
        StartupError: Always.
    """
    match error:
        case ConnectionFailed():
            hint = "start a service with `sentiment serve`, name one with --url, or use --local"
        case Unauthorized():
            hint = f"set ${API_KEY} to a key that the service knows"
        case StatusError(status=404 | 405):
            hint = f"is {url} the address of this service, without /project?"
        case _:
            hint = "try again later; the service's log knows the request by its id"
    # A request that nobody has seen is in no log.
    seen = error.request_id and not isinstance(error, ConnectionFailed)
    problem = f"{error.message} (request {error.request_id})" if seen else error.message
    raise StartupError(problem, error.hint or progress or hint) from None
