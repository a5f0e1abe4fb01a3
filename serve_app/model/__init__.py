"""Models: where they come from, what identifies them, and the ONNX files made from them."""
