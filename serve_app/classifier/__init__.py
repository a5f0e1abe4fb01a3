"""A classifier replica: batches texts over calls and runs the engine."""
