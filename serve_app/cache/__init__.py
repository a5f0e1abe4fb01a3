"""The cache of scores by text."""
