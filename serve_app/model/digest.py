"""What tells one content of files from another."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_BLOCK_BYTES: Final = 1024 * 1024


def digest_of(files: Iterable[Path]) -> str:
    """Return 128 bits of BLAKE2b over the names, sizes and contents of files, as hexadecimal."""
    digest = hashlib.blake2b(digest_size=16)
    for file in files:
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as content:
            while block := content.read(_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()
