"""Scoring of Parquet data sets on Ray Data."""
