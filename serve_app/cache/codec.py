"""Keys and values of the cache.

A key is `sentiment:<key version>:<model digest>:<engine>:` and the 16 raw bytes of the text's
blake2b. Two models or engines never share a key, since the last part has a fixed length and an
engine's name has no colon. So several revisions can use one Redis, as they do during a rollout.

All integers and floats of a value are little-endian::

    offset  size  field
    0       2     magic, b"SL"
    2       1     format version
    3       1     flags; bit 0: the text was truncated
    4       1     number of labels n, modulo 256: the length says the rest
    5       4n    logits, float32
    5 + 4n  4     CRC-32 of key + all bytes above

The checksum covers the key, so that a value stored under another text's key is a miss, not a
wrong answer. It guards against accidents, not against someone who may write to the cache.
"""

import math
import struct
from hashlib import blake2b
from zlib import crc32

from serve_app.scores import TextLogits
from serve_app.settings import EngineName

PREFIX = "sentiment"
KEY_VERSION = 1
MAGIC = b"SL"
VALUE_VERSION = 1
TRUNCATED = 0b1

_HEADER = struct.Struct("<2sBBB")
_CHECKSUM = struct.Struct("<I")


def encode(key: bytes, value: TextLogits) -> bytes:
    """Pack logits, each finite and exact in float32, for storage under a key."""
    flags, count = TRUNCATED if value.truncated else 0, len(value.logits)
    header = _HEADER.pack(MAGIC, VALUE_VERSION, flags, count % 256)
    body = header + struct.pack(f"<{count}f", *value.logits)
    return body + _checksum(key, body)


def decode(key: bytes, raw: bytes | None, labels: int) -> TextLogits | None:
    """Return the value of a model with so many labels; None unless it is intact and the key's."""
    if raw is None or len(raw) != _HEADER.size + 4 * labels + _CHECKSUM.size:
        return None
    body, checksum = raw[: -_CHECKSUM.size], raw[-_CHECKSUM.size :]
    if checksum != _checksum(key, body):
        return None
    magic, version, flags, count = _HEADER.unpack_from(body)
    if (magic, version, count) != (MAGIC, VALUE_VERSION, labels % 256) or flags & ~TRUNCATED:
        return None
    logits = struct.unpack_from(f"<{labels}f", body, _HEADER.size)
    if not all(map(math.isfinite, logits)):
        return None
    return TextLogits(logits, truncated=bool(flags & TRUNCATED))


def _checksum(key: bytes, body: bytes) -> bytes:
    return _CHECKSUM.pack(crc32(body, crc32(key)))


class KeySpace:
    """The keys of one model, by its digest, on one engine: engines differ in the last digits."""

    def __init__(self, digest: str, engine: EngineName) -> None:
        self._prefix = f"{PREFIX}:{KEY_VERSION}:{digest}:{engine}:".encode()

    def key(self, text: str) -> bytes:
        """Return the key of a text, which is not normalized, since the model's input is not."""
        return self._prefix + blake2b(text.encode(), digest_size=16).digest()
