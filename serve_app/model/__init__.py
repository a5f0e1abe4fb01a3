"""Model store: where models come from, what identifies them and what was derived from them."""
