"""One request: look texts up, compute the others once, remember them."""
