from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from serve_app.api.predict import read_body
from serve_app.errors import BodyTooLarge, InvalidRequest


def request_of(parts: Sequence[bytes], headers: dict[str, str], *, leaves: bool = False) -> Request:
    messages: list[Message] = [
        {"type": "http.request", "body": part, "more_body": leaves or index < len(parts) - 1}
        for index, part in enumerate(parts)
    ]
    messages.append({"type": "http.disconnect"})

    async def receive() -> Message:
        return messages.pop(0)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw}, receive)


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=8))
async def test_parts_are_joined_up_to_the_limit(parts: list[bytes]) -> None:
    whole = b"".join(parts)
    assert await read_body(request_of(parts, {}), len(whole)) == whole
    if whole:
        with pytest.raises(BodyTooLarge):
            await read_body(request_of(parts, {}), len(whole) - 1)


async def test_the_declared_size_is_believed_when_it_is_too_large() -> None:
    with pytest.raises(BodyTooLarge, match="more than 10 bytes"):
        await read_body(request_of([b"short"], {"content-length": "11"}), 10)


@pytest.mark.parametrize("declared", ["10", "0", "-5", "ten", "1" * 5000])
async def test_the_declared_size_is_otherwise_of_no_interest(declared: str) -> None:
    headers = {"content-length": declared}
    assert await read_body(request_of([b"short"], headers), 10) == b"short"
    with pytest.raises(BodyTooLarge):
        await read_body(request_of([b"short", b"longer"], headers), 10)


@pytest.mark.parametrize("encoding", ["gzip", "Deflate", "br, identity"])
async def test_encoded_bodies_are_refused(encoding: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await read_body(request_of([b"{}"], {"content-encoding": encoding}), 10)
    assert caught.value.errors[0]["loc"] == ["body"]


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
async def test_identity_is_no_encoding(encoding: str) -> None:
    assert await read_body(request_of([b"{}"], {"content-encoding": encoding}), 10) == b"{}"


async def test_a_client_that_leaves_is_noticed() -> None:
    with pytest.raises(ClientDisconnect):
        await read_body(request_of([b"half"], {}, leaves=True), 10)
