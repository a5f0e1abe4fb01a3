"""From a model directory to verified ONNX files: export, quantize, verify, evaluate."""
