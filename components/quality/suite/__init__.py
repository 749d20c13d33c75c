"""Expectation suites: read, built for Great Expectations, and run as checks."""
