"""TCP ports of this machine."""

import random
import socket
from typing import Final

# Below what Linux gives out to whoever asks for any port, as Ray's processes do while they start,
# and above what Ray's workers take; Serve's replicas listen from 30,000 on.
PORTS: Final = range(20_000, 30_000)


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on.

    Raises:
        OSError: A hundred of them were taken.
    """
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"no port is free among {PORTS}")
