"""k6 scenarios and their report, benchmarks of the service and of its peers, scale tests."""
