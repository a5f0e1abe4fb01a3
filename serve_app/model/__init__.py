"""Model store: where models come from and what is derived from them."""
