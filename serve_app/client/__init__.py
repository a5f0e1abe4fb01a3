"""Python clients of the service: `SentimentClient` and `AsyncSentimentClient`.

Imports httpx2 and the standard library alone, neither Ray nor a model runtime.
"""

from serve_app.client.client import AsyncSentimentClient, SentimentClient
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
from serve_app.client.request import RetryPolicy
from serve_app.client.results import Info, Limits, Prediction

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
