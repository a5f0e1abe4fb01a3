import math
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.cache.score_cache import decode, encode
from serve_app.scores import TextLogits

KEY = b"key"
VALUE = TextLogits((-1.5, 2.25), truncated=False)
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
values = st.builds(TextLogits, st.lists(finite, max_size=255).map(tuple), st.booleans())


def stored(body: bytes, key: bytes = KEY) -> bytes:
    """A body with the checksum that fits it."""
    return body + struct.pack("<I", crc32(key + body))


@given(st.binary(), values)
def test_what_was_encoded_is_decoded_bit_for_bit(key: bytes, value: TextLogits) -> None:
    decoded = decode(key, encode(key, value), len(value.logits))
    assert decoded == value
    assert decoded is not None
    signs = [math.copysign(1, logit) for logit in value.logits]
    assert [math.copysign(1, logit) for logit in decoded.logits] == signs


def test_the_format_does_not_change_between_releases() -> None:
    body = b"SL\x01\x01\x02" + struct.pack("<2f", -1.5, 2.25)
    assert encode(KEY, VALUE._replace(truncated=True)) == stored(body)


@given(st.binary(max_size=64), st.integers(0, 8))
def test_arbitrary_bytes_are_a_miss(raw: bytes, labels: int) -> None:
    assert decode(KEY, raw, labels) is None


@given(st.binary(), st.integers(0, 8))
def test_arbitrary_bytes_with_a_fitting_checksum_are_a_miss_or_a_finite_value(
    body: bytes, labels: int
) -> None:
    value = decode(KEY, stored(body), labels)
    if value is not None:
        assert len(value.logits) == labels
        assert all(map(math.isfinite, value.logits))


@given(values, st.data())
def test_one_flipped_bit_is_a_miss(value: TextLogits, data: st.DataObject) -> None:
    raw = bytearray(encode(KEY, value))
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    assert decode(KEY, bytes(raw), len(value.logits)) is None


@given(values, st.data())
def test_a_truncated_value_is_a_miss(value: TextLogits, data: st.DataObject) -> None:
    raw = encode(KEY, value)
    assert decode(KEY, raw[: data.draw(st.integers(0, len(raw) - 1))], len(value.logits)) is None


def test_nothing_is_a_miss() -> None:
    assert decode(KEY, b"", 2) is None


def test_a_value_under_another_key_is_a_miss() -> None:
    assert decode(b"another key", encode(KEY, VALUE), 2) is None


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self._path,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_a_miss_and_is_not_loaded(tmp_path: Path, protocol: int) -> None:
    raw = pickle.dumps(Bomb(tmp_path / "loaded"), protocol)
    for value in (raw, stored(raw)):
        # As many labels as make the length right.
        for labels in range(len(value)):
            assert decode(KEY, value, labels) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("labels", [0, 1, 3])
def test_another_number_of_labels_is_a_miss(labels: int) -> None:
    assert decode(KEY, encode(KEY, VALUE), labels) is None


def test_trailing_bytes_are_a_miss() -> None:
    assert decode(KEY, encode(KEY, VALUE) + b"\0", 2) is None


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"XX\x01\x00\x01" + struct.pack("<f", 1), id="magic"),
        pytest.param(b"SL\x02\x00\x01" + struct.pack("<f", 1), id="version"),
        pytest.param(b"SL\x01\x02\x01" + struct.pack("<f", 1), id="flags"),
        pytest.param(b"SL\x01\x00\x02" + struct.pack("<f", 1), id="count"),
        pytest.param(b"SL\x01\x00\x01" + struct.pack("<f", math.nan), id="nan"),
        pytest.param(b"SL\x01\x00\x01" + struct.pack("<f", math.inf), id="infinity"),
        pytest.param(b"SL\x01\x00\x01" + struct.pack("<f", -math.inf), id="-infinity"),
    ],
)
def test_a_foreign_field_is_a_miss_even_with_a_fitting_checksum(body: bytes) -> None:
    assert decode(KEY, stored(body), 1) is None


@pytest.mark.parametrize("labels", [255, 256, 300, 1000])
def test_a_model_may_have_any_number_of_labels(labels: int) -> None:
    value = TextLogits(tuple(map(float, range(labels))), truncated=True)
    raw = encode(b"key", value)
    assert decode(b"key", raw, labels) == value
    assert decode(b"key", raw, labels + 256) is None
