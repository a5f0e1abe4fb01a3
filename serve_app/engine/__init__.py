"""Tokenizer and engines: from texts to logits."""
