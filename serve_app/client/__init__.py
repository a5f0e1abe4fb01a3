"""Python client: `SentimentClient` and `AsyncSentimentClient`.

Imports httpx2 and the standard library alone, neither Ray nor a model runtime.
"""

from serve_app.client.aio import AsyncSentimentClient
from serve_app.client.errors import (
    BodyTooLarge,
    ConnectionFailed,
    DeadlinePassed,
    InvalidRequest,
    Overloaded,
    SentimentError,
    ServerFailed,
    ServerTimeout,
    StatusError,
    TextRefused,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
)
from serve_app.client.results import Info, Limits, Prediction
from serve_app.client.retry import RetryPolicy
from serve_app.client.sync import SentimentClient

__all__ = [
    "AsyncSentimentClient",
    "BodyTooLarge",
    "ConnectionFailed",
    "DeadlinePassed",
    "Info",
    "InvalidRequest",
    "Limits",
    "Overloaded",
    "Prediction",
    "RetryPolicy",
    "SentimentClient",
    "SentimentError",
    "ServerFailed",
    "ServerTimeout",
    "StatusError",
    "TextRefused",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
]
