"""Scoring of files: readers, writers and scorers."""
