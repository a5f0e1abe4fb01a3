"""The environment of Ray in the process that drives a run."""

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from serve_app.errors import StartupError

# The path of a socket has at most 107 bytes.
MAX_TMPDIR_BYTES: Final = 107 - len(
    "/ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
)


def prepare() -> str | None:
    """Set the variables that Ray reads when it is imported.

    Returns:
        The address of the cluster to join; None to start one on this machine.

    Raises:
        StartupError: The directory for temporary files has too long a name for Ray's sockets.
    """
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        name = "RAY_TMPDIR" if os.environ.get("RAY_TMPDIR") else "TMPDIR"
        length = len(os.fsencode(os.environ.get(name, "")))
        if length > MAX_TMPDIR_BYTES:
            raise StartupError(
                f"${name} has {length} bytes, and Ray's sockets leave it {MAX_TMPDIR_BYTES}",
                f"set it to a shorter directory: {name}=/tmp",
            )
        os.environ |= {
            # A client of a Ray cluster can run code on it: only this run knows the token.
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
    return address


@contextmanager
def without_native_messages() -> Iterator[None]:
    """Drop the messages of native code on standard error, but not those of Python.

    Ray warns needlessly of each pool of actors that Ray Data makes:
    https://github.com/ray-project/ray/issues/57733. Its log files have all messages, and a
    failure raises an exception.
    """
    shown, sys.stderr = sys.stderr, os.fdopen(os.dup(2), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(sys.stderr.fileno(), 2)
        sys.stderr.close()
        sys.stderr = shown
