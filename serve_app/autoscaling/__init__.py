"""The number of replicas that the work needs."""
