"""The JSON forms of the contract, as far as they are the service's own."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field

from serve_app.settings import EngineName

Texts = Annotated[list[str], FailFast()]
"""Checked up to the first item that is no string, so that a bad body has few errors."""


class Form(BaseModel):
    """Base of all forms: types are not coerced and unknown keys are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class TextsRequest(Form):
    """A request about texts; a subclass fixes the name that clients use for them."""

    texts: Texts

    @classmethod
    def place(cls) -> str:
        """Return the name of the texts in the body."""
        return cls.model_fields["texts"].alias or "texts"


class PredictRequest(TextsRequest):
    """Texts to classify."""

    texts: Texts = Field(
        alias="text",
        description="Texts in any number and of any length up to the limits in /project/info.",
        examples=[["example 1", "example 2"]],
    )


class LabelScore(Form):
    """A label and the probability that the model gives it."""

    label: str
    score: float = Field(description="Plain decimal with float32 precision.")


class PredictAnswer(Form):
    """For each text, in order, every label, highest score first."""

    predictions: list[list[LabelScore]]


class Health(Form):
    """The process is live."""

    status: Literal["healthy"] = "healthy"


class Ready(Form):
    """A prediction would succeed now; `degraded` and `off` caches only make it slower."""

    status: Literal["ready"] = "ready"
    model: Literal["ok"] = "ok"
    cache: Literal["ok", "degraded", "off"]


class Limits(Form):
    """What one request may ask for."""

    max_texts: int
    max_chars: int = Field(description="Per text.")
    max_body_bytes: int
    max_tokens: int = Field(description="Tokens beyond these are not read (X-Truncated).")
    deadline_s: float


class Info(Form):
    """What answers here."""

    model: str
    revision: str
    digest: str
    engine: EngineName
    labels: list[str]
    limits: Limits
    versions: dict[str, str]


class Problem(Form):
    """An error in the form of RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str = Field(description="Equal to the X-Request-ID header.")


class InvalidPlace(Form):
    """A place of the body that breaks the contract."""

    loc: list[str | int] = Field(description="Path of the place, from `body` on.")
    msg: str
    type: str


class InvalidRequestProblem(Problem):
    """A problem that names what is wrong in the body."""

    errors: list[InvalidPlace]


class UnreadyProblem(Problem):
    """A problem that names the parts that a prediction needs."""

    model: Literal["unavailable"]
    cache: Literal["ok", "degraded", "off"]
