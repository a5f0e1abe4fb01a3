"""The `sentiment` command."""
