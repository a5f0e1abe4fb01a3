"""The HTTP application: parses requests, answers them, and writes every error as a problem."""
