"""API keys, of which a service knows only the SHA-256.

A key has 256 random bits, so a fast hash suffices.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from typing import Final

# Scanners find a key in a repository or a log by its prefix.
PREFIX: Final = "sentiment_"
KEY_BYTES: Final = 32

HASH_PREFIX: Final = "sha256:"
HASH: Final = re.compile(HASH_PREFIX + r"[0-9a-f]{64}")


def new_key() -> str:
    """Return a random key."""
    return PREFIX + secrets.token_urlsafe(KEY_BYTES)


def hash_of(key: bytes) -> str:
    """Return the hash of a key, in the form of the configuration."""
    return HASH_PREFIX + hashlib.sha256(key).hexdigest()


def accepts(hashes: Iterable[str], key: bytes) -> bool:
    """Tell whether the hash of a key is among others, in a time independent of which."""
    given = hash_of(key)
    # A list, because a generator would end at the first match.
    return any([hmac.compare_digest(given, known) for known in hashes])
