"""Adapters to Ray Serve. An upgrade of Ray can break this package, app.py and batch/ alone."""
