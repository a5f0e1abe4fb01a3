"""Sentiment API: DistilBERT SST-2 on Ray Serve."""

from importlib.metadata import version

__version__ = version("sentiment-serve")
