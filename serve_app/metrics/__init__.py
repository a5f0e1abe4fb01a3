"""The service's own metrics: one catalogue, and what carries their values to Ray."""
