"""Scores by text: in memory, and in Redis where it is configured."""
