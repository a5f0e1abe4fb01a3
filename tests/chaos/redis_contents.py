"""What a Redis of a case can hold that does harm."""

import os
import threading
from typing import Any, Final

from loadtest.redis_server import RedisServer
from serve_app.cache.codec import PREFIX

LOAD_KEYS: Final = 2000
# It looks at its connections after every two MiB that it has loaded.
BALLAST_BYTES: Final = 4096
# Microseconds that redis-server takes for each key of the file it starts with, for its own tests.
KEY_DELAY_US: Final = 4000

# redis-py's own type tells less than it answers.
Client = Any


def poison(client: Client) -> None:
    """Put what is no score of ours, or of another text, under every key."""
    keys = client.keys(f"{PREFIX}:*".encode())
    values = [client.get(key) for key in keys]
    for number, key in enumerate(keys):
        if number % 3 == 0:
            client.set(key, b"\x80\x04foreign")
        elif number % 3 == 1:
            client.set(key, values[number - 1])
        else:
            client.delete(key)
            client.lpush(key, b"a list")


def load_slowly(client: Client, server: RedisServer) -> None:
    """Restart it with a file that it takes seconds to load; it says LOADING meanwhile."""
    client.mset({f"ballast {number}": os.urandom(BALLAST_BYTES) for number in range(LOAD_KEYS)})
    client.save()
    server.kill()
    threading.Thread(target=server.start).start()
