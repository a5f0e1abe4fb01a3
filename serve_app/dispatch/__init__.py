"""The way of texts from many requests to calls that the model's replicas answer."""
