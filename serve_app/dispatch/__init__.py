"""From the texts of many requests to calls to classifier replicas."""
