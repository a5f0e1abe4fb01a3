"""The service beside what a user might choose instead, on the same model and cores."""
