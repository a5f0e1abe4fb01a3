"""`POST /project`, the form that Hugging Face's clients send and read.

https://huggingface.co/docs/inference-providers/tasks/text-classification
"""

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, RootModel

from serve_app.api.answer import Transform, fragment
from serve_app.api.dialect import Dialect
from serve_app.api.schemas import Form, LabelScore, Texts, TextsRequest
from serve_app.scores import Classification


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
        default=None, description="`softmax` where it is null."
    )


class HuggingFaceRequest(TextsRequest):
    """Texts to classify; a text alone is a list of one."""

    texts: Annotated[Texts, BeforeValidator(_as_list, json_schema_input_type=str | list[str])] = (
        Field(alias="inputs", examples=["I like you", ["example 1", "example 2"]])
    )
    parameters: Parameters | None = None


class HuggingFaceAnswer(RootModel[list[list[LabelScore]]]):
    """For each text, in order, its labels, highest score first.

    A text alone is answered with a list of one too, as `InferenceClient` expects.
    """


def _render(asked: HuggingFaceRequest, labels: tuple[str, ...], found: Classification) -> bytes:
    parameters = asked.parameters or Parameters()
    transform = parameters.function_to_apply or "softmax"
    fragments = (fragment(labels, text.logits, transform, parameters.top_k) for text in found.texts)
    return b"[" + b",".join(fragments) + b"]"


HUGGING_FACE: Final = Dialect(HuggingFaceRequest, _render)
