"""Adapters to Ray Serve, so all that an upgrade of Ray can break."""
