"""`sentiment key`."""

from serve_app.api_keys import hash_of, new_key
from serve_app.console import say


def key() -> None:
    """Make an API key: the key goes to a client, its hash into the configuration."""
    made = new_key()
    print(f"key   {made}")
    print(f"hash  {hash_of(made.encode())}")
    say("give the key to the client, and forget it: the service needs its hash alone,")
    say('in `api_keys: ["sha256:…"]` under user_config of Gateway')
