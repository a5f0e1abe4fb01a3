"""From bytes to a request that keeps the contract."""

from typing import TypeVar

from pydantic import ValidationError

from serve_app.api.schemas import TextsRequest
from serve_app.errors import FieldError, InvalidRequest
from serve_app.settings import GatewaySettings

MAX_ERRORS = 16
MAX_KEY_CHARS = 64

AnyTextsRequest = TypeVar("AnyTextsRequest", bound=TextsRequest)


def parse(schema: type[AnyTextsRequest], body: bytes | bytearray) -> AnyTextsRequest:
    """Parse a body; whatever Content-Type it was sent with, only its bytes count.

    Raises:
        InvalidRequest: The body is not JSON of that form. The errors repeat nothing of it but
            the names of its fields, shortened.
    """
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        raise InvalidRequest("The body is not the JSON asked for.", _places(error)) from None


def check_limits(asked: TextsRequest, settings: GatewaySettings) -> None:
    """Refuse more or longer texts than the settings allow.

    Raises:
        InvalidRequest: There are too many texts, or one of them is too long.
    """
    texts = asked.texts
    if len(texts) > settings.max_texts:
        msg = f"At most {settings.max_texts} texts are accepted, these are {len(texts)}"
        raise InvalidRequest(
            "There are too many texts.",
            [{"loc": ["body", asked.place()], "msg": msg, "type": "too_long"}],
        )
    for index, text in enumerate(texts):
        if len(text) > settings.max_chars:
            msg = f"At most {settings.max_chars} characters are accepted, these are {len(text)}"
            raise InvalidRequest(
                "A text is too long.",
                [{"loc": ["body", asked.place(), index], "msg": msg, "type": "string_too_long"}],
            )


def _places(error: ValidationError) -> list[FieldError]:
    if error.error_count() > MAX_ERRORS:
        # Listing them takes pydantic seconds for the many unknown fields that a body can hold.
        msg = f"More than {MAX_ERRORS} fields are missing or unknown"
        return [{"loc": ["body"], "msg": msg, "type": "too_many_errors"}]
    return [
        {
            "loc": ["body", *(_shortened(part) for part in place["loc"])],
            "msg": place["msg"],
            "type": place["type"],
        }
        for place in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def _shortened(part: int | str) -> int | str:
    return part[:MAX_KEY_CHARS] if isinstance(part, str) else part
