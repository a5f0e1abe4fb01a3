"""TCP ports of this machine."""

import random
import socket
from contextlib import ExitStack
from typing import Final

# Below what Linux gives out to whoever asks for any port, as Ray's processes do while they start,
# and above what Ray's workers take; Serve's replicas listen from 30,000 on.
PORTS: Final = range(20_000, 30_000)


def free_port(*above: int) -> int:
    """Return a port of the loopback address that nobody listens on, nor so far above it.

    Raises:
        OSError: A hundred of them were taken.
    """
    for port in random.sample(PORTS, 100):
        with ExitStack() as probes:
            try:
                for offset in (0, *above):
                    probe = probes.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", port + offset))
            except OSError:
                continue
            return port
    raise OSError(f"no port is free among {PORTS}")
