"""Tokenizer and engines, which turn texts into logits."""
