"""`sentiment key`."""

from typing import Final

from serve_app.api_keys import hash_of, new_key
from serve_app.cli.help import help_text
from serve_app.console import say

HELP: Final = help_text(
    "Make an API key and its hash: the key is for a client, the hash for the configuration.",
    """
sentiment key
""",
    "docs/configuration.md tells how keys are rotated.",
)


def key() -> None:
    """Print a new key and its hash; `HELP` is what users read."""
    made = new_key()
    print(f"key   {made}")
    print(f"hash  {hash_of(made.encode())}")
    say("give the key to the client and keep no copy: the service needs the hash alone,")
    say("in the list `api_keys` under user_config of Gateway")
