"""What surrounds Ray in the process that drives a run."""

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def prepare() -> str | None:
    """Set what Ray finds in its environment when it is imported.

    Returns:
        The address of the cluster to join; None where one is to start on this machine.
    """
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        os.environ |= {
            # Whoever can talk to a Ray can run code on it, so only this run knows the token.
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
    return address


@contextmanager
def without_native_messages() -> Iterator[None]:
    """Drop what native code writes to standard error; what Python writes is still shown.

    Ray warns of every pool of actors that Ray Data makes, needlessly:
    https://github.com/ray-project/ray/issues/57733. Its log files have all of it, and what fails
    comes back as an exception.
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
