"""Requests that two readers may end at different places, so that what is hidden in one is answered.

Each holds a request with the id `hidden` in what is a body, or nothing, by the rules:
https://www.rfc-editor.org/rfc/rfc9112#name-message-body-length
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from tests.serve.wire import Connection, Reply, ask, post

HIDDEN: Final = b"GET /project/info HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: hidden\r\n\r\n"
SILENCE_S: Final = 5.0
_HEAD: Final = b"POST /project/predict HTTP/1.1\r\nHost: localhost\r\n"
_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
_LAST: Final = b"0\r\n\r\n" + HIDDEN
_LENGTH: Final = b"Content-Length: %d\r\n" % len(_LAST)


def _chunks(framing: bytes, head: bytes = _HEAD) -> bytes:
    """Return a request whose body ends at once by its chunks, and with what is hidden else."""
    return head + framing + _LENGTH + b"\r\n" + _LAST


def _hidden(framing: bytes, head: bytes = _HEAD) -> bytes:
    return head + framing + b"\r\n" + HIDDEN


SMUGGLING: Final = {
    "a length and chunks": _chunks(_CHUNKED),
    "chunks twice": _chunks(_CHUNKED * 2),
    "chunks and identity": _chunks(_CHUNKED + b"Transfer-Encoding: identity\r\n"),
    "chunks, then identity": _chunks(b"Transfer-Encoding: chunked, identity\r\n"),
    "identity, then chunks": _chunks(b"Transfer-Encoding: identity, chunked\r\n"),
    "nearly chunks": _chunks(b"Transfer-Encoding: xchunked\r\n"),
    "chunks in capitals": _chunks(b"Transfer-Encoding: CHUNKED\r\n"),
    "chunks after a vertical tab": _chunks(b"Transfer-Encoding: \x0bchunked\r\n"),
    "chunks before a zero byte": _chunks(b"Transfer-Encoding: chunked\0\r\n"),
    "chunks in quotes": _chunks(b'Transfer-Encoding: "chunked"\r\n'),
    "a blank before the colon": _chunks(b"Transfer-Encoding : chunked\r\n"),
    "a folded line": _chunks(b"Transfer-Encoding:\r\n chunked\r\n"),
    "a carriage return alone": _chunks(b"X-A: b\rTransfer-Encoding: chunked\r\n"),
    "a line feed alone": _chunks(b"X-A: b\nTransfer-Encoding: chunked\r\n"),
    "an underscore": _chunks(b"Transfer_Encoding: chunked\r\n"),
    "chunks in HTTP/1.0": _chunks(_CHUNKED, _HEAD.replace(b"1.1", b"1.0")),
    "chunks of a GET": _chunks(_CHUNKED, _HEAD.replace(b"POST", b"GET")),
    "two lengths": _hidden(b"Content-Length: 0\r\nContent-Length: %d\r\n" % len(HIDDEN)),
    "a list of lengths": _hidden(b"Content-Length: 0, %d\r\n" % len(HIDDEN)),
    "a length with a sign": _hidden(b"Content-Length: +%d\r\n" % len(HIDDEN)),
    "a hexadecimal length": _hidden(b"Content-Length: 0x%x\r\n" % len(HIDDEN)),
    "a length that is to be dropped": _hidden(
        b"Connection: Content-Length\r\nContent-Length: %d\r\n" % len(HIDDEN)
    ),
    "a length of a GET": _hidden(
        b"Content-Length: %d\r\n" % len(HIDDEN), _HEAD.replace(b"POST", b"GET")
    ),
    "an upgrade": _hidden(
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
        b"Content-Length: %d\r\n" % len(HIDDEN)
    ),
    "a chunk of 2^64 bytes": _HEAD + _CHUNKED + b"\r\n10000000000000000\r\n\r\n" + _LAST,
    "a chunk with a prefix": _HEAD + _CHUNKED + b"\r\n0x%x\r\n" % len(HIDDEN) + HIDDEN,
    "a chunk with a line feed in its extension": (
        _HEAD + _CHUNKED + b"\r\n%x;\n0\r\n\r\n" % len(HIDDEN) + HIDDEN
    ),
    "chunks without carriage returns": (
        _HEAD + _CHUNKED + b"\r\n%x\n" % len(HIDDEN) + HIDDEN + b"\n0\n\n"
    ),
}


def answers(url: str, request: bytes) -> Iterator[Reply]:
    """Yield all answers to what is sent on one connection, which may then be silent."""
    with Connection(url) as connection, suppress(TimeoutError):
        connection.settimeout(SILENCE_S)
        connection.send_all(request)
        # The last one, whose answer ends the connection.
        connection.send_all(post(b"", "Connection: close", "X-Request-ID: last"))
        while (reply := connection.receive()).status:
            yield reply


def withstands(url: str, request: bytes) -> bool:
    """Tell whether neither the sender nor anybody else gets an answer to what is hidden."""
    replies = list(answers(url, request))
    if any(
        reply.headers.get("x-request-id") == "hidden" or not 400 <= reply.status < 500
        for reply in replies
    ):
        return False
    # Where two readers disagree on the end of a request, the next one gets a foreign answer.
    others = [
        ask(url, post(b'{"text": ["own"]}', f"X-Request-ID: {number}")) for number in range(3)
    ]
    ids = [(other.status, other.headers.get("x-request-id")) for other in others]
    return ids == [(200, "0"), (200, "1"), (200, "2")]
