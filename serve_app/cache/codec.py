"""Bytes of a cached value.

All integers and floats are little-endian::

    offset  size  field
    0       2     magic, b"SL"
    2       1     format version
    3       1     flags; bit 0: the text was truncated
    4       1     number of labels n
    5       4n    logits, float32
    5 + 4n  4     CRC-32 of key + all bytes above

The checksum covers the key, so that a value stored under another text's key is a miss, not a
wrong answer. It guards against accidents, not against someone who may write to the cache.
"""

import math
import struct
from zlib import crc32

from serve_app.scores import TextLogits

MAGIC = b"SL"
VALUE_VERSION = 1
TRUNCATED = 0b1

_HEADER = struct.Struct("<2sBBB")
_CHECKSUM = struct.Struct("<I")


def encode(key: bytes, value: TextLogits) -> bytes:
    """Pack logits for storage under a key.

    Args:
        key: Key that the bytes will be stored under.
        value: At most 255 logits, each finite and exact in float32.
    """
    count = len(value.logits)
    flags = TRUNCATED if value.truncated else 0
    body = _HEADER.pack(MAGIC, VALUE_VERSION, flags, count)
    body += struct.pack(f"<{count}f", *value.logits)
    return body + _checksum(key, body)


def decode(key: bytes, raw: bytes | None, labels: int) -> TextLogits | None:
    """Unpack what was stored under a key.

    Args:
        key: Key that the bytes were read from.
        raw: The stored bytes, or None where there are none.
        labels: Number of labels of the model.

    Returns:
        The value, or None where `raw` is anything but an intact value of this key.
    """
    if raw is None or len(raw) != _HEADER.size + 4 * labels + _CHECKSUM.size:
        return None
    body, checksum = raw[: -_CHECKSUM.size], raw[-_CHECKSUM.size :]
    if checksum != _checksum(key, body):
        return None
    magic, version, flags, count = _HEADER.unpack_from(body)
    if (magic, version, count) != (MAGIC, VALUE_VERSION, labels) or flags & ~TRUNCATED:
        return None
    logits = struct.unpack_from(f"<{labels}f", body, _HEADER.size)
    if not all(map(math.isfinite, logits)):
        return None
    return TextLogits(logits, truncated=bool(flags & TRUNCATED))


def _checksum(key: bytes, body: bytes) -> bytes:
    return _CHECKSUM.pack(crc32(body, crc32(key)))
