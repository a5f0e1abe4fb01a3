"""Sentiment API: DistilBERT SST-2 on Ray Serve."""

import os
from importlib.metadata import version

__version__ = version("sentiment-serve")

# Since 1.29, ONNX Runtime reports to Microsoft unless it is told not to before it is imported:
# https://github.com/microsoft/onnxruntime/pull/27379.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
