"""Scores by text: bounded memory in front of an optional Redis."""
