"""From a model directory to verified ONNX files."""
