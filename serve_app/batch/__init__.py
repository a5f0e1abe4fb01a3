"""Scoring of Parquet data sets that outgrow one machine, on Ray Data."""
