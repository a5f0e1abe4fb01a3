"""The bytes of a request body, within their limit."""

from starlette.requests import Request

from serve_app.errors import BodyTooLarge, InvalidRequest


async def read_body(request: Request, limit: int) -> bytearray:
    """Read the body, and stop at the first byte beyond the limit.

    Args:
        request: A request whose body nobody has read.
        limit: Most bytes that are accepted.

    Raises:
        BodyTooLarge: The declared or the received size is beyond the limit.
        InvalidRequest: The body is compressed.
        ClientDisconnect: The client left before the end of the body.
    """
    _refuse_encoded(request)
    if _declared_bytes(request) > limit:
        raise _too_large(limit)
    body = bytearray()
    async for part in request.stream():
        if len(body) + len(part) > limit:
            raise _too_large(limit)
        body += part
    return body


def _refuse_encoded(request: Request) -> None:
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in {"", "identity"}:
        raise InvalidRequest(
            "The body is to be sent as plain JSON, without Content-Encoding.",
            [
                {
                    "loc": ["body"],
                    "msg": "An encoded body is not accepted",
                    "type": "content_encoding",
                }
            ],
        )


def _declared_bytes(request: Request) -> int:
    try:
        return int(request.headers.get("content-length", 0))
    except ValueError:
        return 0


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body has more than {limit} bytes.")
