"""The `sentiment` command: a module for each of its verbs."""
