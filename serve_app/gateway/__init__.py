"""The gateway: admits a request, looks its texts up, scores the others, and tells readiness."""
