import hashlib
import subprocess
import sys
from hmac import compare_digest

import pytest

from serve_app.api_keys import PREFIX, accepts, hash_of, new_key

KEYS = [b"the old key", b"the new key"]
HASHES = [hash_of(key) for key in KEYS]


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_accepted_by_its_hash(key: bytes) -> None:
    assert accepts(HASHES, key)


@pytest.mark.parametrize("key", [b"", b"the", b"THE OLD KEY", HASHES[0].encode(), b"\xff"])
def test_another_key_is_refused(key: bytes) -> None:
    assert not accepts(HASHES, key)
    assert not accepts([], key)


def test_a_key_is_compared_with_every_hash_in_constant_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared = []

    def compare(one: str, other: str) -> bool:
        compared.append(other)
        return compare_digest(one, other)

    monkeypatch.setattr("serve_app.api_keys.hmac.compare_digest", compare)
    assert accepts(HASHES, KEYS[0])
    assert compared == HASHES


def test_new_keys_are_distinct_and_have_256_bits() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    # Base 64 carries six bits a character.
    assert min(map(len, keys)) - len(PREFIX) == -(-256 // 6)


def test_the_command_prints_a_key_and_the_hash_that_sha256sum_has() -> None:
    command = [sys.executable, "-m", "serve_app.cli", "key"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    words = dict(line.split() for line in printed.stdout.splitlines())
    assert words["key"].startswith(PREFIX)
    assert words["hash"] == "sha256:" + hashlib.sha256(words["key"].encode()).hexdigest()
    assert words["key"] not in printed.stderr
