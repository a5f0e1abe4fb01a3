"""The JSON forms of requests and answers."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, RootModel
from pydantic_core import PydanticCustomError

from serve_app.settings import EngineName, GatewaySettings

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
    return [value] if isinstance(value, str | dict) else value


def _as_text(value: Any) -> Any:
    pair = value if isinstance(value, dict) else {}
    if "text" in pair and pair.keys() <= {"text", "text_pair"} and pair.get("text_pair") is None:
        return pair["text"]
    if isinstance(value, list) or "text_pair" in pair:
        msg = "Text pairs are not served: write each text as a string of its own"
        raise PydanticCustomError("text_pair", msg)
    return value


def _as_lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _as_integer(value: Any) -> Any:
    # A number without a fraction is an integer in JSON Schema, however it is written.
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Parameters(Form):
    """Options for turning logits into scores."""

    top_k: Annotated[int | None, BeforeValidator(_as_integer)] = Field(
        default=None, ge=1, description="All labels where it is null."
    )
    return_all_scores: bool | None = Field(
        default=None, description="`false` stands for a `top_k` of 1, if that is null."
    )
    function_to_apply: Annotated[Transform | None, BeforeValidator(_as_lower)] = Field(
        default=None, description="`softmax` where it is null, `sigmoid` for a multi-label model."
    )
    truncation: Literal[True, "longest_first", "only_first"] | None = Field(
        default=None, description="Texts of too many tokens are truncated in any case."
    )


class Options(Form):
    """Options of Hugging Face's hosted API; an answer is the same with and without them."""

    use_cache: bool | None = None
    wait_for_model: bool | None = None


class TextObject(Form):
    """A text in the form of a pair without its second text."""

    text: str
    text_pair: None = None


_Text = Annotated[str, BeforeValidator(_as_text, json_schema_input_type=str | TextObject)]
_Inputs = str | TextObject | list[str | TextObject]


class HuggingFaceRequest(TextsRequest):
    """Texts to classify; a single text stands for a list of one.

    https://huggingface.co/docs/inference-providers/tasks/text-classification
    """

    texts: Annotated[
        list[_Text], FailFast(), BeforeValidator(_as_list, json_schema_input_type=_Inputs)
    ] = Field(alias="inputs", examples=["I like you", ["example 1", "example 2"]])
    parameters: Parameters | None = None
    options: Options | None = None


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
    cache_problem: str | None = Field(None, description="Why the cache is `degraded`.")


class Limits(Form):
    """Limits of one request."""

    max_texts: int
    max_chars: int = Field(description="Per text.")
    max_body_bytes: int
    max_tokens: int = Field(description="Tokens beyond these are not read (X-Truncated).")
    deadline_s: float

    @classmethod
    def of(cls, settings: GatewaySettings, max_tokens: int) -> Self:
        """Return the limits of a service whose model reads so many tokens of a text."""
        return cls(max_tokens=max_tokens, **settings.model_dump(include=set(cls.model_fields)))


class Info(Form):
    """The model, its limits and the versions."""

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
    cache_problem: str | None = Field(None, description="Why the cache is `degraded`.")
