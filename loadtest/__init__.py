"""Load tests: k6 scenarios, programs that put load on the service, and what reports on them."""
