"""HTTP/2 without TLS by prior knowledge, as bytes: https://www.rfc-editor.org/rfc/rfc9113"""

from collections.abc import Sequence
from typing import Final

from tests.serve import attacks
from tests.serve.attacks import HIDDEN
from tests.serve.wire import Connection

Fields = Sequence[tuple[bytes, bytes]]

DATA, HEADERS, RESET, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
END_STREAM, END_HEADERS = 1, 4
HEAD_BYTES: Final = 9
STREAM: Final = 1
# https://www.rfc-editor.org/rfc/rfc7541#appendix-A
INDEXED_STATUS: Final = dict(enumerate((200, 204, 206, 304, 400, 404, 500), start=0x88))
LITERAL_STATUS: Final = 8


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4)
    return head + payload


def _field(name: bytes, value: bytes) -> bytes:
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


def request(fields: Fields, body: bytes) -> bytes:
    """Return a connection's bytes with one request."""
    block = b"".join(_field(*field) for field in fields)
    return (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + _frame(SETTINGS, 0, 0, b"")
        + _frame(HEADERS, END_HEADERS, STREAM, block)
        + _frame(DATA, END_STREAM, STREAM, body)
    )


def status(url: str, fields: Fields, body: bytes) -> int:
    """Send a request, and return the status of its answer; 0 where the stream was reset."""
    with Connection(url) as connection:
        connection.send_all(request(fields, body))
        while head := connection.makefile().read(HEAD_BYTES):
            payload = connection.makefile().read(int.from_bytes(head[:3]))
            if head[3] == HEADERS:
                return INDEXED_STATUS.get(payload[0]) or int(payload[2:5])
            if head[3] in {RESET, GOAWAY}:
                return 0
    return 0


FIELDS: Final = {
    b":method": b"POST",
    b":scheme": b"http",
    b":path": b"/project/predict",
    b":authority": b"localhost",
}
BODY: Final = b'{"text": ["I love this!"]}'


def _fields(*more: tuple[bytes, bytes], **changed: bytes) -> Fields:
    own = FIELDS | {b":" + name.encode(): value for name, value in changed.items()}
    return [*own.items(), *more]


SMUGGLING: Final[dict[str, tuple[Fields, bytes]]] = {
    "chunks": (_fields((b"transfer-encoding", b"chunked")), b"0\r\n\r\n" + HIDDEN),
    "a short length": (_fields((b"content-length", b"0")), HIDDEN),
    "a long length": (_fields((b"content-length", b"1000")), BODY),
    "two lengths": (_fields((b"content-length", b"0"), (b"content-length", b"1")), HIDDEN),
    "a line end in a value": (_fields((b"x-a", b"b\r\n\r\n" + HIDDEN)), b""),
    "a line feed in a value": (_fields((b"x-a", b"b\n\n" + HIDDEN)), b""),
    "a line end in a name": (_fields((b"x-a: b\r\n\r\n" + HIDDEN, b"")), b""),
    "a colon in a name": (_fields((b"transfer-encoding:chunked", b"")), HIDDEN),
    "a capital in a name": (_fields((b"Transfer-Encoding", b"chunked")), HIDDEN),
    "a header of the connection": (_fields((b"connection", b"content-length")), HIDDEN),
    "a line end in the path": (_fields(path=b"/ HTTP/1.1\r\n\r\n" + HIDDEN), b""),
    "a blank in the path": (_fields(path=b"/project/info HTTP/1.1"), b""),
    "a line end in the method": (_fields(method=b"GET / HTTP/1.1\r\n\r\n" + HIDDEN), b""),
    "two paths": (_fields((b":path", b"/project/info")), b""),
    "a late pseudo-header": ([(b"x-a", b"b"), *FIELDS.items()], HIDDEN),
}


def fine(authority: bytes = b"localhost", *more: tuple[bytes, bytes]) -> tuple[Fields, bytes]:
    """Return a request that is in order, if its authority is."""
    return _fields(*more, authority=authority), BODY


def withstands(url: str, name: str) -> bool:
    """Tell whether an attack is refused, and harms nobody else."""
    answered = status(url, *SMUGGLING[name])
    refused = answered == 0 or 400 <= answered < 500
    return refused and attacks.withstands(url, attacks.SMUGGLING["a length and chunks"])
