"""Rollouts of the service on Kubernetes."""
