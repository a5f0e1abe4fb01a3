"""Groups texts of many requests into calls to classifier replicas."""
