"""Scoring of whole files: rows in, the same rows with their scores out."""
