"""Export of a model to verified ONNX files."""
