"""The JSON forms of requests and answers."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, RootModel

from serve_app.settings import EngineName

DEADLINE_HEADER: Final = "X-Deadline-Ms"

Texts = Annotated[list[str], FailFast()]
"""Checked up to the first item that is not a string, so that a bad body has few errors."""

Transform = Literal["softmax", "sigmoid", "none"]


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


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _as_integer(value: Any) -> Any:
    # A number without a fraction is an integer in JSON Schema, however it is written.
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Parameters(Form):
    """How to turn the model's output into an answer."""

    top_k: Annotated[int | None, BeforeValidator(_as_integer)] = Field(
        default=None, ge=1, description="All labels where it is null."
    )
    function_to_apply: Transform | None = Field(
        default=None, description="`softmax` where it is null, `sigmoid` for a multi-label model."
    )


class HuggingFaceRequest(TextsRequest):
    """Texts to classify; a single text stands for a list of one.

    https://huggingface.co/docs/inference-providers/tasks/text-classification
    """

    texts: Annotated[Texts, BeforeValidator(_as_list, json_schema_input_type=str | list[str])] = (
        Field(alias="inputs", examples=["I like you", ["example 1", "example 2"]])
    )
    parameters: Parameters | None = None


class HuggingFaceAnswer(RootModel[list[list[LabelScore]]]):
    """For each text, in order, its labels, highest score first.

    A single text is answered with a list of one too, as `InferenceClient` expects.
    """


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
