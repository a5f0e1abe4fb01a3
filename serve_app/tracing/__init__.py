"""OpenTelemetry traces, where an endpoint is configured."""
