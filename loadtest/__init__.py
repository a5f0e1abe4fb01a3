"""Load tests: k6 scenarios, what runs them and what reports on them."""
