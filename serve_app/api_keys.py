"""API keys, of which a service knows the SHA-256 alone.

A key has 256 random bits. What hashes made slow on purpose protect, passwords that can be guessed,
is not among its risks.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from typing import Final

# By its prefix, scanners find a key in a repository or a log.
PREFIX: Final = "sentiment_"
KEY_BYTES: Final = 32

HASH_PREFIX: Final = "sha256:"
HASH: Final = re.compile(HASH_PREFIX + r"[0-9a-f]{64}")


def new_key() -> str:
    """Return a key that nobody can guess."""
    return PREFIX + secrets.token_urlsafe(KEY_BYTES)


def hash_of(key: bytes) -> str:
    """Return what the configuration holds of a key."""
    return HASH_PREFIX + hashlib.sha256(key).hexdigest()


def accepts(hashes: Iterable[str], key: bytes) -> bool:
    """Tell whether a key is one of those known, in a time that does not depend on which.

    Args:
        hashes: What is known of the keys.
        key: What a client has sent.
    """
    given = hash_of(key)
    # A list, because a generator would end at the first match.
    return any([hmac.compare_digest(given, known) for known in hashes])
