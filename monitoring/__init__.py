"""Prometheus, its rules and the dashboards of the service."""
