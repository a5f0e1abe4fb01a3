"""How many replicas the work needs."""
