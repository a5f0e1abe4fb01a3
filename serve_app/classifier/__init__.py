"""A model replica: batches over calls and runs the engine."""
